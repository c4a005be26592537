// SPDX-License-Identifier: MIT
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* SQLite also opens folders, to fsync them. */
static int open_regular(const char *path, int flags, int mode)
{
    struct stat found;
    const int fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, mode);
    if (fd < 0 || (fstat(fd, &found) == 0 && (S_ISREG(found.st_mode) || S_ISDIR(found.st_mode))))
        return fd;
    close(fd);
    errno = EACCES;
    return -1;
}

int file_open(const char *path, sqlite3 **db, int flags, int busy_ms)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    if (!vfs || vfs->iVersion < 3 ||
        vfs->xSetSystemCall(vfs, "open", (sqlite3_syscall_ptr) open_regular) != SQLITE_OK)
        return SQLITE_ERROR;
    const int code = sqlite3_open_v2(path, db, flags, NULL);
    if (code == SQLITE_OK)
        sqlite3_busy_timeout(*db, busy_ms);
    return code;
}

const char *file_why(const char *path, sqlite3 *db)
{
    struct stat found;
    if (stat(path, &found) == 0 && !S_ISREG(found.st_mode))
        return "it is not a file";
    return db ? sqlite3_errmsg(db) : "out of memory";
}

sqlite3_stmt *file_prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    return statement;
}

int64_t file_number(sqlite3_stmt *statement, const char *name, int64_t otherwise)
{
    int64_t number = otherwise;
    if (name)
        sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_type(statement, 0) != SQLITE_NULL)
        number = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return number;
}

int64_t file_ask(sqlite3 *db, const char *sql, const char *name, int64_t otherwise)
{
    sqlite3_stmt *statement = file_prepare(db, sql);
    const int64_t number = statement ? file_number(statement, name, otherwise) : otherwise;
    sqlite3_finalize(statement);
    return number;
}

bool file_run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

bool file_has_column(sqlite3 *db, const char *table, const char *column)
{
    return sqlite3_table_column_metadata(db, NULL, table, column, NULL, NULL, NULL, NULL, NULL) ==
           SQLITE_OK;
}

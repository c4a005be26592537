// SPDX-License-Identifier: MIT
/*
 * The interpreter of templates (docs/templates.md). It interprets the text directly: a loop jumps
 * back to its start, and the body of a false `if` is skipped.
 */
#include "template.h"

#include "template_scope.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MOST 40
#define SETS_MOST 24
#define ITEMS_MOST 1000 /* items of a loop */
#define DEPTH_MOST 20   /* nested blocks and parentheses: limits the use of the stack */

struct template
{
    const char *text, *at;
    const bool *silent; /* of each character of the text */
    struct template_scope scope;
    struct {
        char name[NAME_MOST];
        struct template_value value;
    } sets[SETS_MOST];
    unsigned set_count, depth;
    FILE *out;
    struct template_fault *fault; /* line 0: none */
};

static void __attribute__((format(printf, 2, 3)))
set_fault(struct template *template, const char *format, ...)
{
    struct template_fault *fault = template->fault;
    va_list arguments;
    if (fault->line > 0)
        return;
    fault->line = 1;
    for (const char *c = template->text; c < template->at; c++)
        fault->line += *c == '\n';
    va_start(arguments, format);
    vsnprintf(fault->reason, sizeof fault->reason, format, arguments);
    va_end(arguments);
}

static bool failed(const struct template *template)
{
    return template->fault->line > 0;
}

static void skip_blanks(struct template *template)
{
    template->at += strspn(template->at, " \t\n");
}

static bool is_name_char(char c)
{
    return isalnum((unsigned char) c) || c == '_' || c == '.';
}

/* Consumes a sign or word if it is the next one. */
static bool accept(struct template *template, const char *word)
{
    const size_t size = strlen(word);
    skip_blanks(template);
    if (strncmp(template->at, word, size) != 0 ||
        (is_name_char(*word) && is_name_char(template->at[size])))
        return false;
    template->at += size;
    return true;
}

static void expect(struct template *template, const char *word)
{
    if (!accept(template, word))
        set_fault(template, "expected '%s', found '%.12s'", word, template->at);
}

/* Consumes a name. False: there is none. */
static bool read_name(struct template *template, char name[NAME_MOST])
{
    size_t size = 0;
    skip_blanks(template);
    if (!isalpha((unsigned char) *template->at))
        return false;
    while (is_name_char(template->at[size]))
        size++;
    snprintf(name, NAME_MOST, "%.*s", (int) size, template->at);
    template->at += size;
    return true;
}

/* Skips a tag and its end; texts in it may contain the same signs. */
static void pass_to(struct template *template, const char *closing)
{
    bool quoted = false;
    for (; *template->at; template->at++) {
        if (!quoted && strncmp(template->at, closing, 2) == 0) {
            template->at += 2;
            return;
        }
        quoted ^= *template->at == '"';
        template->at += quoted &&*template->at == '\\' && template->at[1];
    }
    set_fault(template, "expected '%s'", closing);
}

static void evaluate(struct template *template, struct template_value *value);

static bool is_true(const struct template_value *value)
{
    return value->text[0] && strcmp(value->text, "0") != 0;
}

static void set_number(struct template_value *value, long number)
{
    snprintf(value->text, sizeof value->text, "%ld", number);
}

static long read_number(struct template *template, const char *text, char **end)
{
    errno = 0;
    const long number = strtol(text, end, 10);
    if (errno == ERANGE)
        set_fault(template, "'%.*s' is too large", *end - text > 40 ? 40 : (int) (*end - text),
                  text);
    return number;
}

static long to_number(struct template *template, const struct template_value *value)
{
    char *end;
    const long number = read_number(template, value->text, &end);
    if (end == value->text || *end)
        set_fault(template, "'%.40s' is not a whole number", value->text);
    return number;
}

static void read_text(struct template *template, struct template_value *value)
{
    size_t size = 0;
    for (template->at++; *template->at && *template->at != '"'; template->at++) {
        if (*template->at == '\\' && template->at[1])
            template->at++;
        if (size < sizeof value->text - 1)
            value->text[size++] = *template->at;
    }
    value->text[size] = 0;
    expect(template, "\"");
}

static struct template_value *find_set(struct template *template, const char *name)
{
    for (unsigned i = 0; i < template->set_count; i++)
        if (strcmp(template->sets[i].name, name) == 0)
            return &template->sets[i].value;
    return NULL;
}

static void look_up(struct template *template, const char *name, struct template_value *value)
{
    const struct template_value *set = find_set(template, name);
    if (set)
        *value = *set;
    else if (!template_look_up(&template->scope, name, value))
        set_fault(template, "there is no '%s' here", name);
}

/* The address of a value of the extended block. */
static void call_address(struct template *template, const char *name, struct template_value *value)
{
    evaluate(template, value);
    const struct map_row *row = map_row_find(value->text);
    if (!row)
        set_fault(template, "there is no value '%.40s' in the map", value->text);
    else
        set_number(value, template->scope.settings->base + (long) row->offset);
}

/* hex(number, digits), digits(number, digits) */
static void call_digits(struct template *template, const char *name, struct template_value *value)
{
    struct template_value digits;
    evaluate(template, value);
    expect(template, ",");
    evaluate(template, &digits);
    const long number = to_number(template, value), given = to_number(template, &digits);
    const int width = given > 0 && given < NAME_MOST ? (int) given : 1;
    snprintf(value->text, sizeof value->text, *name == 'h' ? "%0*lX" : "%0*ld", width, number);
}

/* replace(text, characters, character) */
static void call_replace(struct template *template, const char *name, struct template_value *value)
{
    struct template_value which, by;
    evaluate(template, value);
    expect(template, ",");
    evaluate(template, &which);
    expect(template, ",");
    evaluate(template, &by);
    for (char *c = value->text; *c; c++)
        if (strchr(which.text, *c))
            *c = by.text[0] ? by.text[0] : ' ';
}

/* json(text): in quotes. */
static void call_json(struct template *template, const char *name, struct template_value *value)
{
    evaluate(template, value);
    json_t *text = json_string(value->text);
    char *quoted = text ? json_dumps(text, JSON_ENCODE_ANY) : NULL;
    if (quoted && strlen(quoted) < sizeof value->text)
        strcpy(value->text, quoted);
    else
        set_fault(template, "this text is too long, or not UTF-8");
    free(quoted);
    json_decref(text);
}

/* pick(value, case, result, case, result, …, otherwise): empty if no case matches and there is no
 * `otherwise`. */
static void call_pick(struct template *template, const char *name, struct template_value *value)
{
    struct template_value key, wanted, result;
    bool found = false;
    evaluate(template, &key);
    value->text[0] = 0;
    while (accept(template, ",") && !failed(template)) {
        evaluate(template, &wanted);
        if (!accept(template, ",")) {
            if (!found)
                *value = wanted;
            return;
        }
        evaluate(template, &result);
        if (!found && strcmp(key.text, wanted.text) == 0) {
            *value = result;
            found = true;
        }
    }
}

static void call_function(struct template *template, const char *name, struct template_value *value)
{
    static const struct {
        const char *name;
        void (*call)(struct template *template, const char *name, struct template_value *value);
    } functions[] = {{"address", call_address}, {"hex", call_digits}, {"digits", call_digits},
                     {"replace", call_replace}, {"json", call_json},  {"pick", call_pick}};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strcmp(name, functions[i].name) == 0) {
            functions[i].call(template, name, value);
            expect(template, ")");
            return;
        }
    set_fault(template,
              "unknown function '%s'; expected address, hex, digits, replace, json or pick", name);
}

static void read_primary(struct template *template, struct template_value *value)
{
    char name[NAME_MOST];
    value->text[0] = 0;
    skip_blanks(template);
    if (*template->at == '"') {
        read_text(template, value);
    } else if (isdigit((unsigned char) *template->at)) {
        char *end;
        set_number(value, read_number(template, template->at, &end));
        template->at = end;
    } else if (accept(template, "(")) {
        evaluate(template, value);
        expect(template, ")");
    } else if (!read_name(template, name)) {
        set_fault(template, "expected a value, found '%.12s'", template->at);
    } else if (accept(template, "(")) {
        call_function(template, name, value);
    } else {
        look_up(template, name, value);
    }
}

static bool has_word(char *words, const char *word)
{
    char *rest;
    for (char *next = strtok_r(words, " \n", &rest); next; next = strtok_r(NULL, " \n", &rest))
        if (strcmp(next, word) == 0)
            return true;
    return false;
}

/* From the loosest to the tightest; each begins with another character. */
static const char *const operators[][5] = {{"or"},     {"and"}, {"not"}, {"==", "!=", "<", "in"},
                                           {"+", "-"}, {"*"}};
enum { NEGATION = 2, COMPARISON = 3, LEVELS = 6 };

static void operate(struct template *template, char sign, struct template_value *left,
                    struct template_value *right)
{
    if (sign == 'o')
        set_number(left, is_true(left) || is_true(right));
    else if (sign == 'a')
        set_number(left, is_true(left) && is_true(right));
    else if (sign == '=' || sign == '!')
        set_number(left, (strcmp(left->text, right->text) == 0) == (sign == '='));
    else if (sign == 'i')
        set_number(left, has_word(right->text, left->text));
    if (!strchr("<+-*", sign))
        return;
    const long a = to_number(template, left), b = to_number(template, right);
    long result;
    if (sign == '<')
        set_number(left, a < b);
    else if (sign == '*'   ? __builtin_mul_overflow(a, b, &result)
             : sign == '+' ? __builtin_add_overflow(a, b, &result)
                           : __builtin_sub_overflow(a, b, &result))
        set_fault(template, "the result of '%c' is too large", sign);
    else
        set_number(left, result);
}

static void read_operation(struct template *template, unsigned level, struct template_value *value)
{
    struct template_value right;
    if (level == LEVELS) {
        read_primary(template, value);
        return;
    }
    const bool negated = level == NEGATION && accept(template, "not");
    read_operation(template, level + 1, value);
    while (level != NEGATION && !failed(template)) {
        const char *const *sign = operators[level];
        while (*sign && !accept(template, *sign))
            sign++;
        if (!*sign)
            break;
        read_operation(template, level + 1, &right);
        operate(template, **sign, value, &right);
        if (level == COMPARISON)
            break;
    }
    if (negated)
        set_number(value, !is_true(value));
}

static void evaluate(struct template *template, struct template_value *value)
{
    if (++template->depth > DEPTH_MOST)
        set_fault(template, "too deep");
    else
        read_operation(template, 0, value);
    template->depth--;
}

enum ending { AT_THE_END, AT_END, AT_ELSE };

static enum ending run_blocks(struct template *template, bool active);

/* How a block ended, after its last tag. */
static void close_block(struct template *template, enum ending ending)
{
    if (ending != AT_END)
        set_fault(template, ending == AT_ELSE ? "'else' without 'if'" : "missing 'end'");
}

/* Skips a block, from its first tag on. */
static void pass_block(struct template *template)
{
    pass_to(template, "%}");
    close_block(template, run_blocks(template, false));
}

static void run_if(struct template *template, bool active)
{
    struct template_value condition = {{0}};
    if (active) {
        evaluate(template, &condition);
        expect(template, "%}");
    } else {
        pass_to(template, "%}");
    }
    const bool is = active && is_true(&condition);
    enum ending ending = run_blocks(template, is);
    if (ending == AT_ELSE)
        ending = run_blocks(template, active && !is);
    close_block(template, ending);
}

/* The selected items of a loop. */
struct items {
    unsigned short at[ITEMS_MOST];
    unsigned count;
};

static void find_items(struct template *template, enum template_loop loop, unsigned most,
                       struct items *items)
{
    struct template_value is = {"1"};
    const bool chosen = accept(template, "if");
    const char *condition = template->at;
    bool over = false;
    items->count = 0;
    for (unsigned n = 0; n < most && !over && !failed(template); n++) {
        if (!template_loop_enter(&template->scope, loop, n, &over))
            continue;
        template->at = condition;
        if (chosen)
            evaluate(template, &is);
        if (is_true(&is) && items->count == ITEMS_MOST)
            set_fault(template, "a loop of more than %d", ITEMS_MOST);
        else if (is_true(&is))
            items->at[items->count++] = (unsigned short) n;
    }
    if (items->count == 0 && !failed(template)) {
        template->at = condition;
        pass_to(template, "%}");
    } else {
        expect(template, "%}");
    }
}

/* {% for row if … %}, {% for n to … %} */
static void run_for(struct template *template)
{
    const struct template_scope around = template->scope;
    struct template_value bound;
    char name[NAME_MOST] = "";
    enum template_loop loop;
    unsigned most = (unsigned) -1;
    struct items items;
    if (!read_name(template, name) || !template_loop_find(name, &loop)) {
        set_fault(
            template,
            "unknown loop '%s'; expected unit, group, row, input, coil, connection, dashboard or n",
            name);
        return;
    }
    if (loop == LOOP_NUMBERS) {
        expect(template, "to");
        evaluate(template, &bound);
        const long number = to_number(template, &bound);
        most = number < 0 ? 0 : number > ITEMS_MOST ? ITEMS_MOST + 1 : (unsigned) number;
    }
    find_items(template, loop, most, &items);
    const char *body = template->at;
    enum ending ending = items.count == 0 ? run_blocks(template, false) : AT_END;
    for (unsigned i = 0; i < items.count && !failed(template); i++) {
        bool over;
        template->at = body;
        template_loop_enter(&template->scope, loop, items.at[i], &over);
        template->scope.first = i == 0;
        template->scope.last = i + 1 == items.count;
        ending = run_blocks(template, true);
    }
    template->scope = around;
    close_block(template, ending);
}

static void run_set(struct template *template)
{
    char name[NAME_MOST] = "";
    struct template_value value;
    if (!read_name(template, name))
        set_fault(template, "expected a name, found '%.12s'", template->at);
    expect(template, "=");
    evaluate(template, &value);
    expect(template, "%}");
    struct template_value *set = find_set(template, name);
    if (!set && template->set_count < SETS_MOST) {
        strcpy(template->sets[template->set_count].name, name);
        set = &template->sets[template->set_count++].value;
    }
    if (set)
        *set = value;
    else
        set_fault(template, "more than %d names are set", SETS_MOST);
}

/* Collects the output of the block as a JSON text. */
static void run_json(struct template *template)
{
    FILE *out = template->out;
    char *text = NULL;
    size_t size = 0;
    expect(template, "%}");
    template->at += *template->at == '\n';
    template->out = open_memstream(&text, &size);
    if (!template->out) {
        template->out = out;
        set_fault(template, "out of memory");
        return;
    }
    close_block(template, run_blocks(template, true));
    fclose(template->out);
    template->out = out;
    json_t *string = json_stringn(text, size);
    if (string)
        json_dumpf(string, out, JSON_ENCODE_ANY);
    else
        set_fault(template, "this text is not UTF-8");
    json_decref(string);
    free(text);
}

static void run_tag(struct template *template, bool active)
{
    if (accept(template, "if"))
        run_if(template, active);
    else if (accept(template, "for"))
        active ? run_for(template) : pass_block(template);
    else if (accept(template, "json"))
        active ? run_json(template) : pass_block(template);
    else if (accept(template, "set"))
        active ? run_set(template) : pass_to(template, "%}");
    else
        set_fault(template, "expected for, if, else, end, set or json, found '%.12s'",
                  template->at);
}

static void run_value(struct template *template, bool active)
{
    struct template_value value;
    if (!active) {
        pass_to(template, "}}");
        return;
    }
    evaluate(template, &value);
    expect(template, "}}");
    if (!failed(template))
        fputs(value.text, template->out);
}

/* Interprets up to the end of the block or of the template. */
static enum ending run_blocks(struct template *template, bool active)
{
    enum ending ending = AT_THE_END;
    if (++template->depth > DEPTH_MOST)
        set_fault(template, "too many nested blocks");
    while (*template->at && !failed(template)) {
        if (strncmp(template->at, "{{", 2) == 0) {
            template->at += 2;
            run_value(template, active);
        } else if (strncmp(template->at, "{#", 2) == 0) {
            const char *end = strstr(template->at, "#}");
            if (!end)
                set_fault(template, "expected '#}'");
            template->at = end ? end + 2 : template->at;
        } else if (strncmp(template->at, "{%", 2) != 0) {
            if (active && !template->silent[template->at - template->text])
                fputc(*template->at, template->out);
            template->at++;
        } else {
            template->at += 2;
            ending = accept(template, "end")    ? AT_END
                     : accept(template, "else") ? AT_ELSE
                                                : AT_THE_END;
            if (ending != AT_THE_END) {
                expect(template, "%}");
                break;
            }
            run_tag(template, active);
        }
    }
    template->depth--;
    return ending;
}

/* The end of a tag or comment that begins here; NULL: none begins. */
static const char *end_of_tag(const char *at)
{
    const char *closing = strncmp(at, "{%", 2) == 0   ? "%}"
                          : strncmp(at, "{#", 2) == 0 ? "#}"
                                                      : NULL;
    const char *end = closing ? strstr(at, closing) : NULL;
    return end ? end + 2 : NULL;
}

/* The end of a line that contains only tags or comments; NULL: another kind of line. */
static const char *end_of_tag_line(const char *line)
{
    bool has_tags = false;
    for (const char *at = line, *end;; at = end) {
        at += strspn(at, " \t");
        if (!*at || *at == '\n')
            return has_tags ? at : NULL;
        end = end_of_tag(at);
        if (!end)
            return NULL;
        has_tags = true;
    }
}

/* Marks the characters of such lines, which are not printed: neither blanks nor the line end. */
static void silence_tag_lines(const char *text, bool *silent)
{
    for (const char *line = text; *line;) {
        const char *end = end_of_tag_line(line), *next = strchrnul(end ? end : line, '\n');
        next += *next == '\n';
        if (end)
            memset(silent + (line - text), true, (size_t) (next - line));
        line = next;
    }
}

bool template_print(const char *text, const char *format, const struct map_settings *settings,
                    FILE *out, struct template_fault *fault)
{
    static const struct map_unit unit = {
        .name = "Battery", .title = "Battery", .unit = 1, .cells = 16, .sensors = 4};
    static const struct map_clients example = {
        .host = "192.0.2.1", .port = 502, .units = &unit, .count = 1};
    *fault = (struct template_fault){0};
    bool *silent = calloc(strlen(text) + 1, sizeof *silent);
    struct template template = {
        .text = text,
        .at = text,
        .silent = silent,
        .scope = {.settings = settings,
                  .clients = settings->clients ? settings->clients : &example,
                  .format = format},
        .out = out,
        .fault = fault,
    };
    if (silent)
        silence_tag_lines(text, silent);
    if (!silent)
        set_fault(&template, "out of memory");
    else if (run_blocks(&template, true) != AT_THE_END)
        set_fault(&template, "'end' or 'else' without a block");
    free(silent);
    return fault->line == 0;
}

bool map_print(const struct map_settings *settings, const char *format, FILE *out)
{
    const struct template_file *file = template_files;
    struct template_fault fault;
    /* Three sizes of a file come from one template. */
    const char *name =
        strcmp(format, "homeassistant-basic") == 0 || strcmp(format, "homeassistant-cells") == 0
            ? "homeassistant"
            : format;
    while (file->name && strcmp(file->name, name) != 0)
        file++;
    return file->text && template_print(file->text, format, settings, out, &fault);
}

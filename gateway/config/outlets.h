// SPDX-License-Identifier: MIT
/* The types, checks and rows that sections of outlets share. */
#pragma once

#include "draft.h"
#include "types.h"

/* Shared by all outlets: the key `packs`, whose field is their struct outlet_config, and the check of it. */
extern const struct config_type type_outlet_packs;
void outlet_check_packs(struct config_draft *draft);
/** A certificate and its key are given in the key `name`, both or none. */
void outlet_check_certificate(const struct config_draft *draft, const char *name, const char *cert,
                              const char *key);

/* Rows of keys. FIELD is the section's CONFIG_FIELD. */
// clang-format off
#define PACKS_ROW(what) \
    {.name = "packs", .offset = 0, .size = sizeof(struct outlet_config), .type = &type_outlet_packs, \
     .max = OUTLET_PACKS_MAX, .preset = "all", .also = "pack", .on_change = CHANGE_SECTION, .help = "The packs and banks " what "."}

#define OLD_PACKS_ROW \
    {.name = "packs", .offset = 0, .size = sizeof(struct outlet_config), .type = &type_outlet_packs, \
     .max = OUTLET_PACKS_MAX, .on_change = CHANGE_SECTION, CONFIG_FOLDED("leave it out, all packs and banks are taken")}

#define USER_ROW(FIELD, where) \
    {.name = "user", FIELD(user), .type = &type_text, .web = true, .otherwise = "none", .also = "username", .help = "The name to log in with" where "."}

#define CA_FILE_ROW(FIELD, server) \
    {.name = "ca_file", FIELD(ca_file), .type = &type_path, CONFIG_WORDS("any"), .preset = "none", .also = "cafile", \
     .help = "The certificate authorities that verify the " server ", in PEM form; none: those of the system. any: it is not " \
             "verified; the connection is encrypted, but anybody could be at its other end."}
#define OLD_VERIFY_ROW(FIELD) \
    {.name = "verify", FIELD(verify), .type = &type_choice, CONFIG_WORDS("no", "yes"), .start = "yes", \
     CONFIG_FOLDED("write 'ca_file = any' in place of no, and leave yes out")}

#define CLIENT_CERT_ROW(owner) \
    {.name = "client_cert", CONFIG_PARTS(owner, {CONFIG_FIELD(owner, client_cert), .type = &type_path}, {CONFIG_FIELD(owner, client_key), .type = &type_path}), \
     .otherwise = "none", .also = "certfile keyfile", .on_change = CHANGE_SECTION, \
     .help = "The files of a client certificate and of its key, in PEM form, separated by a comma."}
#define CLIENT_KEY_ROW(FIELD) \
    {.name = "client_key", FIELD(client_key), .type = &type_path, CONFIG_FOLDED("write 'client_cert = CERTIFICATE, KEY'")}
// clang-format on

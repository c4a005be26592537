// SPDX-License-Identifier: MIT
/* Rows that the sections of several outlets share. FIELD is the section's CONFIG_FIELD. */
#ifndef PACKGATE_CONFIG_OUTLET_ROWS_H
#define PACKGATE_CONFIG_OUTLET_ROWS_H

// clang-format off
#define PACKS_ROW(what) \
    {.name = "packs", .offset = 0, .size = sizeof(struct outlet_config), .type = &type_outlet_packs, \
     .max = OUTLET_PACKS_MAX, .preset = "all", .on_change = CHANGE_SECTION, .help = "The packs and banks that " what "."}

#define USER_ROW(FIELD, where) \
    {.name = "user", FIELD(user), .type = &type_text, .otherwise = "none", .help = "The name to log in with" where "."}

#define CA_FILE_ROW(FIELD, server) \
    {.name = "ca_file", FIELD(ca_file), .type = &type_path, .preset = "none", \
     .help = "The certificates by which the " server " is checked, in PEM form; none takes those of the system."}

#define CLIENT_CERT_ROWS(FIELD) \
    {.name = "client_cert", FIELD(client_cert), .type = &type_path, .preset = "none", \
     .help = "A certificate to log in with, in PEM form."}, \
    {.name = "client_key", FIELD(client_key), .type = &type_path, .preset = "none", \
     .help = "The key of that certificate."}

#define VERIFY_ROW(FIELD, server) \
    {.name = "verify", FIELD(verify), .type = &type_flag, CONFIG_WORDS("no", "yes"), .preset = "yes", \
     .help = "Whether the certificate of the " server " is checked. Without, the connection is encrypted, but to " \
             "whom is not known."}
// clang-format on

#endif

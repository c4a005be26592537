// SPDX-License-Identifier: MIT
/*
 * The sections that are outlets: what they begin with, and each of them. Their structs travel to
 * another process as they are: no pointers. Each key whose change restarts the outlet is
 * CHANGE_SECTION; that is all of them, since an outlet is restarted when any byte differs.
 */
#pragma once

#include "allow.h"

#include "base/address.h"
#include "base/listeners.h"
#include "registers/map.h"

#include <stdbool.h>

#define OUTLET_NAME_SIZE 33
#define OUTLET_PACKS_MAX 100 /* names that `packs` can have */
#define OUTLET_PATH_SIZE 256
#define MQTT_TOPIC_SIZE 65

/* First member of each section's struct. */
struct outlet_config {
    char name[OUTLET_NAME_SIZE]; /* of the section; empty where there can be only one */
    char packs[OUTLET_PACKS_MAX][OUTLET_NAME_SIZE]; /* packs and banks */
    unsigned pack_count;                            /* 0: all */
    bool all;                                       /* `packs = all` is in the file */
};

struct print_config {
    struct outlet_config outlet;
};

/* Always one. */
struct history_config {
    struct outlet_config outlet;
    char file[OUTLET_PATH_SIZE]; /* empty: no history */
    double commit_s;
    double recent_s, minutes_s, hours_s; /* how long rows are kept */
};

/* The layouts that have one pack and no discovery are behind LAYOUT_PACKGATE. */
enum mqtt_layout {
    LAYOUT_PACKGATE,
    LAYOUT_SMARTBMS_BAT,
    LAYOUT_SMARTBMS_B,
    LAYOUT_SMARTBMS_FLAT,
    LAYOUT_VENUS
};
enum mqtt_discovery { DISCOVERY_DEVICE, DISCOVERY_SINGLE, DISCOVERY_OFF };
enum mqtt_entities { ENTITIES_FEW, ENTITIES_NORMAL, ENTITIES_ALL };

struct mqtt_config {
    struct outlet_config outlet;
    char broker[OUTLET_PATH_SIZE]; /* "mqtt://host:1883" or "mqtts://host:8883" */
    char user[65];
    char password_file[OUTLET_PATH_SIZE]; /* empty: none; the same for all files */
    char ca_file[OUTLET_PATH_SIZE];       /* empty: the system's certificates */
    char client_cert[OUTLET_PATH_SIZE], client_key[OUTLET_PATH_SIZE];
    bool verify;
    char topic[MQTT_TOPIC_SIZE]; /* %h: name of the host */
    double interval_s;
    bool on_change;
    enum mqtt_layout layout;
    enum mqtt_discovery discovery;
    char discovery_prefix[MQTT_TOPIC_SIZE];
    enum mqtt_entities entities;
    bool switching;
    bool retain;
    bool second; /* another section announces the gateway itself at the same broker */
};

#define NOTIFY_REPORTS_MAX 8
#define NOTIFY_TEXT_SIZE 129

enum notify_type {
    NOTIFY_NTFY,
    NOTIFY_PUSHOVER,
    NOTIFY_PUSHSAFER,
    NOTIFY_MAIL,
    NOTIFY_WEBHOOK,
    NOTIFY_COMMAND
};

/* In the order of their words in `events`. */
enum notify_event {
    NOTIFY_ALARM,
    NOTIFY_STALE,
    NOTIFY_BACK,
    NOTIFY_SOC_BELOW,
    NOTIFY_FULL,
    NOTIFY_CELL_DELTA,
    NOTIFY_SWITCHED,
    NOTIFY_REPORT,
    NOTIFY_STARTED,
    NOTIFY_EVENTS
};

enum notify_when { NOTIFY_AT_TIME, NOTIFY_AT_SUNRISE, NOTIFY_AT_SUNSET, NOTIFY_AT_FULL };

/* When a report is sent. */
struct notify_reports {
    struct {
        enum notify_when when;
        int minute; /* of the local day, NOTIFY_AT_TIME */
    } at[NOTIFY_REPORTS_MAX];
    unsigned count;
};

struct notify_config {
    struct outlet_config outlet;
    enum notify_type type;
    char url[OUTLET_PATH_SIZE];      /* empty: that of the service */
    char url_file[OUTLET_PATH_SIZE]; /* empty: none; the same for all files */
    char key_file[OUTLET_PATH_SIZE];
    char ca_file[OUTLET_PATH_SIZE];
    bool verify;
    char user[NOTIFY_TEXT_SIZE];
    char from[NOTIFY_TEXT_SIZE], to[OUTLET_PATH_SIZE]; /* of a mail; several with commas */
    char command[OUTLET_PATH_SIZE];
    char device[NOTIFY_TEXT_SIZE], sound[NOTIFY_TEXT_SIZE];
    int priority;                    /* of protection alarms, -2…2 */
    unsigned events;                 /* bits by enum notify_event */
    bool protection;                 /* alarms at that level only */
    double soc_below, cell_delta_mv; /* 0: not watched */
    struct notify_reports reports;
    double hold_s, repeat_s;
    unsigned limit;                 /* messages an hour */
    double latitude, longitude;     /* of [gateway]; NaN: not known */
    char history[OUTLET_PATH_SIZE]; /* of [history]; empty: none */
};

#define WEB_HOSTS_MAX 16
#define WEB_HOST_SIZE 128
#define WEB_LINK_SIZE 160

struct web_hosts {
    char at[WEB_HOSTS_MAX][WEB_HOST_SIZE]; /* in lower case */
    unsigned count;
    bool any; /* any host name is accepted */
};

/* One or none. */
/* Which users may set up in the browser, besides the one with the code of `packgate setup`. */
enum web_setup { WEB_SETUP_NO, WEB_SETUP_YES, WEB_SETUP_INGRESS };

struct web_config {
    struct outlet_config outlet;
    enum web_setup setup;
    struct listen_list listen;
    struct allow_list allow;
    struct allow_list allow_write;        /* clients that may log in and switch */
    struct allow_list proxy;              /* proxies that may name their client */
    struct web_hosts hosts;               /* further names that the page is reached by */
    char password_file[OUTLET_PATH_SIZE]; /* empty: nobody switches; the same for all files */
    char frame[WEB_HOST_SIZE];            /* "https://ha.local:8123", "'self'"; empty: no frame */
    char link[WEB_LINK_SIZE];             /* where people find the page; empty: where it listens */
    char tls_cert[OUTLET_PATH_SIZE], tls_key[OUTLET_PATH_SIZE];
    unsigned max_clients, max_per_address, max_streams;
    char history[OUTLET_PATH_SIZE]; /* of [history]; empty: none */
    double commit_s;                /* of the same */
    struct map_settings map;        /* of [gateway], for client files */
    unsigned modbus_port;           /* of the same; 0: any */
};

#define INFLUX_URL_SIZE 1024
#define INFLUX_GATEWAY_SIZE 161 /* a name for people fits */

enum influx_layout { INFLUX_SERIES, INFLUX_FIELDS };
enum influx_backfill { BACKFILL_GAPS, BACKFILL_ALL, BACKFILL_NO };

struct influx_config {
    struct outlet_config outlet;
    char url[INFLUX_URL_SIZE];         /* with path and query */
    char token_file[OUTLET_PATH_SIZE]; /* empty: none; the same for all files */
    char user[65];
    char password_file[OUTLET_PATH_SIZE];
    char ca_file[OUTLET_PATH_SIZE]; /* empty: the system's certificates */
    char client_cert[OUTLET_PATH_SIZE], client_key[OUTLET_PATH_SIZE];
    bool verify;
    double interval_s; /* a multiple of 10, above 60 of 60 */
    enum influx_layout layout;
    char gateway[INFLUX_GATEWAY_SIZE]; /* %h: name of the host */
    enum influx_backfill backfill;
    unsigned catch_up;                    /* rows a second, at most */
    char history[OUTLET_PATH_SIZE];       /* of [history]; empty: none */
    double commit_s, recent_s, minutes_s; /* of the same */
};

#define PRESENT_MODBUS "modbus-rtu"   /* one of its protocols */
#define PRESENT_VIEW_SIZE (24 * 1024) /* the text of a [view], without comments */

/* A port on which other devices poll values. */
struct present_config {
    struct outlet_config outlet; /* its first name is the one that is presented */
    char port[OUTLET_PATH_SIZE]; /* "serial:/dev/…", "tcp-listen:127.0.0.1:5020" or "can:can0" */
    char protocol[OUTLET_NAME_SIZE]; /* PRESENT_MODBUS, that of a driver, or a dialect of CAN */
    int variant;                     /* of that driver */
    int address;                     /* -1: Modbus unit ids, or the protocol's usual one */
    char view[OUTLET_NAME_SIZE];     /* empty: the register map */
    unsigned baud;
    char framing[4]; /* "8N1" */
    int rts;         /* enum rts_mode */
    bool switching;
    double soh_percent;                   /* sent if no BMS reports it; NaN: none */
    double discharge_voltage_v;           /* the same, by [limits]; NaN: none */
    struct allow_list allow, allow_write; /* these three of [gateway] */
    struct map_settings map;
    char view_text[PRESENT_VIEW_SIZE]; /* the keys of that [view], a line each */
};

/** "alarm", "soc_below" and so on. */
const char *notify_event_name(enum notify_event event);

/** The address at which others in the network reach the page: its `link`, else the one that it listens on; if that
 * is any, the first of its `hosts`, else the name of this host, with ".local" unless it has a
 * domain. "http://gateway.local:8080/". False: only this host or single others, such as a proxy, reach it, or its port is
 * not known. */
bool web_address(const struct web_config *web, const char *host_name, char *out, size_t size);

/** Parses "mqtt://HOST[:1883]" or "mqtts://HOST[:8883]". False: it is neither. */
bool mqtt_broker_parse(const char *text, bool *tls, struct endpoint *endpoint);

/** Whether a section has the pack or bank of this name. */
bool outlet_wants(const struct outlet_config *outlet, const char *name);

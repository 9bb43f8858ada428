/* echo and its relatives: responses made by a list of commands in the configuration. */
#ifndef BL_HTTP_MODULES_ECHO_H
#define BL_HTTP_MODULES_ECHO_H

#include "core/array.h"
#include "event/timer.h"
#include "http/value.h"

extern bl_module bl_echo_module;
extern const bl_filter bl_echo_filter; /* echo_before_body, echo_after_body */

/* --- between echo.c (running), echo_conf.c (reading) and echo_vars.c --- */

typedef struct bl_echo_command bl_echo_command;
typedef bl_step (*bl_echo_fn)(bl_request *r, const bl_echo_command *command);

struct bl_echo_command {
    bl_echo_fn run;
    bl_value **args;
    int count;
    int jump;        /* foreach: behind its echo_end; echo_end: its foreach */
    bool no_newline; /* echo -n */
    bool wait;       /* echo_location, echo_subrequest without _async */
    bl_str method;   /* echo_subrequest */
    bl_value *query, *body, *file;
};

typedef struct bl_echo_settings {
    bl_array commands; /* bl_echo_command: the content handler's */
    bl_array *before, *after;
    int64_t status;
} bl_echo_settings;

/* What a request has come to. */
typedef struct bl_echo_state {
    bl_request *r;
    int at; /* next command */
    bool waiting;
    bl_timer timer;
    bl_array *items; /* bl_str, of the foreach that runs; NULL: none does */
    uint32_t item;
    uint64_t timer_start; /* mono ms; 0: the request's own start */
    bool before_sent;
    int incremented; /* $echo_incr of a main request */
} bl_echo_state;

bl_echo_state *bl_echo_state_of(bl_request *r);
bl_step bl_echo_serve(bl_request *r);
bool bl_echo_vars_define(bl_conf *cf);

/* The commands. */
bl_step bl_echo_say(bl_request *r, const bl_echo_command *c);
bl_step bl_echo_duplicate(bl_request *r, const bl_echo_command *c);
bl_step bl_echo_flush(bl_request *r, const bl_echo_command *c);
bl_step bl_echo_sleep(bl_request *r, const bl_echo_command *c);
bl_step bl_echo_reset_timer(bl_request *r, const bl_echo_command *c);
bl_step bl_echo_read_body(bl_request *r, const bl_echo_command *c);
bl_step bl_echo_send_body(bl_request *r, const bl_echo_command *c);
bl_step bl_echo_location(bl_request *r, const bl_echo_command *c);
bl_step bl_echo_subrequest(bl_request *r, const bl_echo_command *c);
bl_step bl_echo_foreach(bl_request *r, const bl_echo_command *c);
bl_step bl_echo_end(bl_request *r, const bl_echo_command *c);
bl_step bl_echo_exec(bl_request *r, const bl_echo_command *c);

/* The text of an `echo` (also of before and after): arguments joined by spaces, and a newline. */
bl_str bl_echo_text(bl_request *r, const bl_echo_command *c);

#endif

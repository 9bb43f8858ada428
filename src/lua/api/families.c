/* The families of the API; see vm.h for what a row does. */
#include "lua/api/arg.h"
#include "lua/api/body.h"
#include "lua/api/capture.h"
#include "lua/api/control.h"
#include "lua/api/events.h"
#include "lua/api/fields.h"
#include "lua/api/header.h"
#include "lua/api/log.h"
#include "lua/api/lookup.h"
#include "lua/api/misc.h"
#include "lua/api/output.h"
#include "lua/api/pipe.h"
#include "lua/api/regex.h"
#include "lua/api/shdict.h"
#include "lua/api/request.h"
#include "lua/api/semaphore.h"
#include "lua/api/sleep.h"
#include "lua/api/socket.h"
#include "lua/api/stats.h"
#include "lua/api/thread.h"
#include "lua/api/timer.h"
#include "lua/api/upstream.h"
#include "lua/api/worker_thread.h"
#include "lua/vm.h"

const bl_lua_family bl_lua_families[] = {
    {"misc", bl_lua_open_misc},
    {"arg", bl_lua_open_arg},
    {"log", bl_lua_open_log},
    {"output", bl_lua_open_output},
    {"fields", bl_lua_open_fields},
    {"header", bl_lua_open_header},
    {"control", bl_lua_open_control},
    {"request", bl_lua_open_request}, /* before body */
    {"body", bl_lua_open_body},
    {"capture", bl_lua_open_capture},
    {"sleep", bl_lua_open_sleep},
    {"thread", bl_lua_open_thread},
    {"semaphore", bl_lua_open_semaphore},
    {"timer", bl_lua_open_timer},
    {"worker_thread", bl_lua_open_worker_thread},
    {"socket", bl_lua_open_socket}, /* behind request */
    {"re", bl_lua_open_regex},
    {"shdict", bl_lua_open_shdict},
    {"events", bl_lua_open_events},
    {"pipe", bl_lua_open_pipe},
    {"stats", bl_lua_open_stats},
    {"lookup", bl_lua_open_lookup},
    {"upstream", bl_lua_open_upstream},
    {NULL, NULL},
};

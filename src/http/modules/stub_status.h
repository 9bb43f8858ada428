/* stub_status: counts of connections and requests as a page, and their variables. */
#ifndef BL_HTTP_MODULES_STUB_STATUS_H
#define BL_HTTP_MODULES_STUB_STATUS_H

#include "http/http.h"

extern bl_module bl_stub_status_module;

#endif

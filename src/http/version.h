/* What the server calls itself. The version is nginx's whose behaviour this is, since programs and
 * test suites parse it. */
#ifndef BL_HTTP_VERSION_H
#define BL_HTTP_VERSION_H

#include "config.h"

#define BL_NGINX_VERSION  "1.31.4"
#define BL_SERVER_NAME    "nginx"
#define BL_SERVER_VERSION "nginx/" BL_NGINX_VERSION
#define BL_SERVER_BUILD   BL_SERVER_VERSION " (bulan-" BL_VERSION ")"

#endif

/* Responses for statuses: what error_page says, or the built-in pages. */
#ifndef BL_HTTP_ERROR_PAGE_H
#define BL_HTTP_ERROR_PAGE_H

#include "http/request.h"

/* One `error_page` entry. */
typedef struct bl_error_page_rule {
    int status;    /* that it is for */
    int overwrite; /* "=200": this instead; 0 for "=": that of the page; -1: keeps the status */
    bl_value *uri;
    bl_str args;
    bool named;
} bl_error_page_rule;

/* Sets up the response to a status that a step returned: BL_JUMP when error_page leads elsewhere
 * within the server, BL_DONE when a response is in the pipeline, BL_CLOSE when none can be sent, or
 * another status (a redirect cycle). */
bl_step bl_error_page(bl_request *r, int status);
/* Whether error_page has an entry for the status that applies now. */
bool bl_error_page_leads_elsewhere(bl_request *r, int status);
/* The built-in page itself. */
bl_step bl_error_page_builtin(bl_request *r, int status);

/* "404 Not Found"; p NULL for unknown statuses. */
bl_str bl_status_line(int status);

#endif

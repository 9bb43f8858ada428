/* Responses that are files: their validators, and the way from a descriptor into the output. */
#ifndef BL_HTTP_SEND_FILE_H
#define BL_HTTP_SEND_FILE_H

#include "http/request.h"

/* Length, Last-Modified and (with `etag on`) ETag of a file; status 200. */
void bl_send_file_describe(bl_request *r, off_t size, time_t mtime);

/* Sends the head, then the bytes from..to of `fd` as the whole body: by sendfile, or through
 * memory (output_buffers) where the location or a filter asks for that. What a content handler
 * returns: BL_DONE, BL_CLOSE, or BL_WAIT: the request is woken when it is done. */
bl_step bl_send_file(bl_request *r, int fd, off_t from, off_t to, bl_str path);

#endif

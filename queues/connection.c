/*
 * connection.c - what is asked of connections.
 */
#include "queues/connection.h"

#include <stdio.h>

void connection_shut(proc_id connection, uint16_t code, const char *text)
{
    struct msg_connection_shutdown *m =
        MSG_NEW(CONNECTION_SHUTDOWN, struct msg_connection_shutdown);

    m->code = code;
    snprintf(m->text, sizeof(m->text), "%s", text);
    PROC_SEND(connection, m);
}

/*
 * A client on rabbitmq-c: publish with confirms, consume, ack, get, a channel error and a good end.
 * The broker is in WARREN_TEST_AMQP=host:port.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>
#include <amqp.h>
#include <amqp_tcp_socket.h>

#define N_MESSAGES 500
#define DEADLINE_S 60

static char queue_name[64];

static amqp_bytes_t queue(void)
{
    return amqp_cstring_bytes(queue_name);
}

static void check_reply(amqp_rpc_reply_t reply, const char *what)
{
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        fail_msg("%s: reply type %d, %s", what, reply.reply_type,
                 amqp_error_string2(reply.library_error));
}

static int setup(void **state)
{
    const char *where = getenv("WARREN_TEST_AMQP");
    char host[128];
    int port;

    assert_non_null(where);
    assert_int_equal(sscanf(where, "%127[^:]:%d", host, &port), 2);
    amqp_connection_state_t conn = amqp_new_connection();
    amqp_socket_t *sock = amqp_tcp_socket_new(conn);

    assert_non_null(sock);
    assert_int_equal(amqp_socket_open(sock, host, port), AMQP_STATUS_OK);
    check_reply(amqp_login(conn, "/", 0, AMQP_DEFAULT_FRAME_SIZE, 30, AMQP_SASL_METHOD_PLAIN,
                           "guest", "guest"),
                "login");
    amqp_channel_open(conn, 1);
    check_reply(amqp_get_rpc_reply(conn), "channel.open");
    snprintf(queue_name, sizeof(queue_name), "rabbitmq-c-%d", (int)getpid());
    *state = conn;
    return 0;
}

static int teardown(void **state)
{
    amqp_connection_state_t conn = *state;

    amqp_queue_delete(conn, 1, queue(), 0, 0);
    check_reply(amqp_connection_close(conn, AMQP_REPLY_SUCCESS), "connection.close");
    return amqp_destroy_connection(conn);
}

static void declare(amqp_connection_state_t conn)
{
    amqp_queue_declare(conn, 1, queue(), 0, 1, 0, 0, amqp_empty_table);
    check_reply(amqp_get_rpc_reply(conn), "queue.declare");
}

static void publish(amqp_connection_state_t conn, uint32_t number)
{
    amqp_basic_properties_t props = {
        ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG,
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
        .content_type = amqp_cstring_bytes("application/octet-stream"),
    };
    amqp_bytes_t body = {.len = sizeof(number), .bytes = &number};

    assert_int_equal(amqp_basic_publish(conn, 1, amqp_empty_bytes, queue(), 0, 0, &props, body),
                     AMQP_STATUS_OK);
}

/* Waits for basic.ack until the tags 1..count are confirmed. */
static void wait_confirms(amqp_connection_state_t conn, uint64_t count)
{
    uint64_t confirmed = 0;
    struct timeval deadline = {.tv_sec = DEADLINE_S};

    while (confirmed < count) {
        amqp_frame_t frame;

        assert_int_equal(amqp_simple_wait_frame_noblock(conn, &frame, &deadline), AMQP_STATUS_OK);
        assert_int_equal(frame.frame_type, AMQP_FRAME_METHOD);
        assert_int_equal(frame.payload.method.id, AMQP_BASIC_ACK_METHOD);
        amqp_basic_ack_t *ack = frame.payload.method.decoded;

        confirmed = ack->multiple ? ack->delivery_tag : confirmed + 1;
        amqp_maybe_release_buffers(conn);
    }
    assert_int_equal(confirmed, count);
}

static void test_publish_consume_ack(void **state)
{
    amqp_connection_state_t conn = *state;
    struct timeval deadline = {.tv_sec = DEADLINE_S};

    declare(conn);
    amqp_confirm_select(conn, 1);
    check_reply(amqp_get_rpc_reply(conn), "confirm.select");
    for (uint32_t i = 0; i < N_MESSAGES; i++)
        publish(conn, i);
    wait_confirms(conn, N_MESSAGES);

    amqp_basic_qos(conn, 1, 0, 50, 0);
    amqp_basic_consume(conn, 1, queue(), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    check_reply(amqp_get_rpc_reply(conn), "basic.consume");
    for (uint32_t i = 0; i < N_MESSAGES; i++) {
        amqp_envelope_t envelope;

        check_reply(amqp_consume_message(conn, &envelope, &deadline, 0), "a delivery");
        assert_int_equal(envelope.message.body.len, sizeof(i));
        assert_memory_equal(envelope.message.body.bytes, &i, sizeof(i));
        assert_false(envelope.redelivered);
        assert_int_equal(amqp_basic_ack(conn, 1, envelope.delivery_tag, 0), AMQP_STATUS_OK);
        amqp_destroy_envelope(&envelope);
    }
    amqp_channel_close(conn, 1, AMQP_REPLY_SUCCESS);
    amqp_channel_open(conn, 1);
    check_reply(amqp_get_rpc_reply(conn), "channel.open again");
    amqp_queue_declare_ok_t *ok =
        amqp_queue_declare(conn, 1, queue(), 1, 0, 0, 0, amqp_empty_table);

    assert_non_null(ok);
    assert_int_equal(ok->message_count, 0);
}

static void test_get(void **state)
{
    amqp_connection_state_t conn = *state;
    amqp_message_t message;

    declare(conn);
    check_reply(amqp_basic_get(conn, 1, queue(), 1), "basic.get");
    publish(conn, 7);
    amqp_rpc_reply_t reply = amqp_basic_get(conn, 1, queue(), 1);

    check_reply(reply, "basic.get");
    assert_int_equal(reply.reply.id, AMQP_BASIC_GET_OK_METHOD);
    check_reply(amqp_read_message(conn, 1, &message, 0), "the message");
    assert_int_equal(message.properties.delivery_mode, AMQP_DELIVERY_PERSISTENT);
    amqp_destroy_message(&message);
}

static uint32_t count(amqp_connection_state_t conn)
{
    amqp_queue_declare_ok_t *ok =
        amqp_queue_declare(conn, 1, queue(), 1, 1, 0, 0, amqp_empty_table);

    check_reply(amqp_get_rpc_reply(conn), "passive queue.declare");
    return ok->message_count;
}

static void test_transaction(void **state)
{
    amqp_connection_state_t conn = *state;

    declare(conn);
    amqp_tx_select(conn, 1);
    check_reply(amqp_get_rpc_reply(conn), "tx.select");
    publish(conn, 1);
    assert_int_equal(count(conn), 0);
    amqp_tx_rollback(conn, 1);
    check_reply(amqp_get_rpc_reply(conn), "tx.rollback");
    publish(conn, 2);
    publish(conn, 3);
    amqp_tx_commit(conn, 1);
    check_reply(amqp_get_rpc_reply(conn), "tx.commit");
    assert_int_equal(count(conn), 2);
}

static void test_channel_error(void **state)
{
    amqp_connection_state_t conn = *state;

    amqp_channel_open(conn, 2);
    check_reply(amqp_get_rpc_reply(conn), "channel.open");
    amqp_queue_declare(conn, 2, amqp_cstring_bytes("never-there"), 1, 0, 0, 0, amqp_empty_table);
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(conn);

    assert_int_equal(reply.reply_type, AMQP_RESPONSE_SERVER_EXCEPTION);
    assert_int_equal(reply.reply.id, AMQP_CHANNEL_CLOSE_METHOD);
    amqp_channel_close_t *close_method = reply.reply.decoded;

    assert_int_equal(close_method->reply_code, AMQP_NOT_FOUND);
    amqp_channel_close_ok_t close_ok = {0};

    assert_int_equal(amqp_send_method(conn, 2, AMQP_CHANNEL_CLOSE_OK_METHOD, &close_ok), 0);
    declare(conn); /* The other channel goes on. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_publish_consume_ack, setup, teardown),
        cmocka_unit_test_setup_teardown(test_get, setup, teardown),
        cmocka_unit_test_setup_teardown(test_transaction, setup, teardown),
        cmocka_unit_test_setup_teardown(test_channel_error, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

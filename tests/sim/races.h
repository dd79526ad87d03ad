/*
 * races.h - the whole broker, and so few names that all meet at them: what is deleted, bound,
 * declared and consumed from at the same time. Client, model, crashes and audit are the slice's.
 */
#ifndef TESTS_SIM_RACES_H
#define TESTS_SIM_RACES_H

/* race_queues.c */
void race_bind_run(void);
void race_declare_run(void);
void race_unused_run(void);
void race_owner_run(void);

/* race_exchanges.c */
void race_exchange_run(void);
void race_ring_run(void);

#endif

"""The application that the tests of Celery run: its worker imports it, and so do the tests."""
import os
import time

from celery import Celery

app = Celery("warren", broker=os.environ["WARREN_TEST_URL"], backend="rpc://")
app.conf.update(
    task_default_queue=os.environ.get("WARREN_TEST_QUEUE", "celery"),
    broker_connection_retry_on_startup=True,
    result_expires=60,
)


@app.task
def add(x, y):
    return x + y


@app.task
def when():
    return time.time()


@app.task(bind=True, max_retries=3)
def flaky(self, fails):
    """Fails that often, and then tells how often it was tried."""
    if self.request.retries < fails:
        raise self.retry(countdown=0.1)
    return self.request.retries


@app.task
def broken():
    raise ValueError("as it should be")

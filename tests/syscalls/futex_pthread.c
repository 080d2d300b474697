/* Do the library's threads, mutexes and condition variables work: a queue between threads? */
#include "report.h"
#include <pthread.h>

enum { PRODUCERS = 3, CONSUMERS = 2, ITEMS = 200, ROOM = 4 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_full = PTHREAD_COND_INITIALIZER, not_empty = PTHREAD_COND_INITIALIZER;
static int queue[ROOM], count, first;
static long sums[CONSUMERS], taken;

static void *produce(void *argument)
{
	for (long i = 0; i < ITEMS; i++) {
		pthread_mutex_lock(&lock);
		while (count == ROOM)
			pthread_cond_wait(&not_full, &lock);
		queue[(first + count++) % ROOM] = (long)argument * ITEMS + i;
		pthread_cond_signal(&not_empty);
		pthread_mutex_unlock(&lock);
	}
	return argument;
}

static void *consume(void *argument)
{
	for (;;) {
		pthread_mutex_lock(&lock);
		while (!count && taken < PRODUCERS * ITEMS)
			pthread_cond_wait(&not_empty, &lock);
		if (!count) {
			pthread_cond_broadcast(&not_empty);
			pthread_mutex_unlock(&lock);
			return NULL;
		}
		sums[(long)argument] += queue[first];
		first = (first + 1) % ROOM;
		count--;
		taken++;
		pthread_cond_signal(&not_full);
		pthread_mutex_unlock(&lock);
	}
}

int main(void)
{
	pthread_t producers[PRODUCERS], consumers[CONSUMERS];
	void *result;

	for (long i = 0; i < CONSUMERS; i++)
		if (pthread_create(&consumers[i], NULL, consume, (void *)i))
			die("create a thread");
	for (long i = 0; i < PRODUCERS; i++)
		if (pthread_create(&producers[i], NULL, produce, (void *)i))
			die("create a thread");
	for (long i = 0; i < PRODUCERS; i++) {
		pthread_join(producers[i], &result);
		SHOW((long)result);
	}
	for (long i = 0; i < CONSUMERS; i++)
		pthread_join(consumers[i], NULL);
	SHOW(taken);
	SHOW(sums[0] + sums[1]);
	CHECK(!count);
	return report_status();
}

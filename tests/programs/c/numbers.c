/* Does the C library compute and print numbers as it does on the host? */
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	double x = 1.0;

	for (int i = 1; i <= 40; i++) {
		x = x * 1.37 - sin(x) / i;
		printf("%2d %.17g %a %e %g\n", i, x, x, x, x);
	}
	printf("%.3f %10.2f|%-10.4f|%+g\n", M_PI, -M_E, 1.0 / 3, 1e300 * 1e10);
	printf("%d %i %u %x %X %o %c %s %%\n", -5, 7, 42u, 0xbeefu, 0xBEEFu, 8u, 'z', "text");
	printf("%" PRId64 " %" PRIu64 " %zu %td\n", INT64_MIN, UINT64_MAX, sizeof(x), (ptrdiff_t)-3);
	printf("%ld %.10g %.10g\n", strtol("-0x7f", NULL, 0), strtod("1e-7", NULL), atof("2.5"));
	printf("%Lf %Lg\n", 1.0L / 3, 1e4000L);
	return 0;
}

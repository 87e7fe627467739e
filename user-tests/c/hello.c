/* The smallest test: copy this file to c/<area>/<subject>.c and change it. */
#include "ktest.h"

TEST(a_child_tells_its_parent)
{
	int end[2];
	char word[6] = "";
	CHECK_OK(pipe(end));
	pid_t child = SPAWN(CHECK_EQ(write(end[1], "hello", 5), 5));
	CHECK_EQ(read(end[0], word, sizeof word), 5);
	CHECK(!strcmp(word, "hello"));
	JOIN(child);
}

TEST(a_closed_descriptor_is_refused)
{
	CHECK_ERR(write(-1, "x", 1), EBADF);
}

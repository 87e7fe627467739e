/* The line discipline: editing, echo, translation (termios(3)). */
#include "pty.h"

TEST(defaults)
{
	struct termios t;
	open_pty();
	CHECK_OK(tcgetattr(slave, &t));
	CHECK_EQ(t.c_lflag, ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN);
	CHECK_EQ(t.c_iflag, ICRNL | IXON);
	CHECK_EQ(t.c_oflag, OPOST | ONLCR);
	CHECK_EQ(t.c_cflag & CSIZE, CS8);
	CHECK(t.c_cflag & CREAD);
	CHECK_EQ(t.c_cc[VINTR], 3);
	CHECK_EQ(t.c_cc[VQUIT], 28);
	CHECK_EQ(t.c_cc[VERASE], 127);
	CHECK_EQ(t.c_cc[VKILL], 21);
	CHECK_EQ(t.c_cc[VEOF], 4);
	CHECK_EQ(t.c_cc[VSUSP], 26);
	CHECK_EQ(t.c_cc[VMIN], 1);
	CHECK_EQ(t.c_cc[VTIME], 0);
	CHECK_EQ(cfgetospeed(&t), B38400);
	CHECK(isatty(slave) && isatty(master));
}

TEST(a_line_comes_whole)
{
	open_pty();
	type("he");
	expect(master, "he");
	expect_nothing(slave);
	type("llo\r");
	expect(master, "llo\r\n");
	expect(slave, "hello\n");
	type("one\ntwo\n");
	char buf[64];
	CHECK_EQ(read(slave, buf, sizeof buf), 4);
	CHECK_EQ(read(slave, buf, 2), 2);
	CHECK_EQ(read(slave, buf, sizeof buf), 2);
}

TEST(erase_word_erase_and_kill)
{
	open_pty();
	type("abx\177c\n");
	expect(slave, "abc\n");
	expect(master, "abx\b \bc\r\n");
	type("one two\027three\n");
	expect(slave, "one three\n");
	type("garbage\025fine\n");
	expect(slave, "fine\n");
	type("\177\177ok\n");
	expect(slave, "ok\n");
	type("a\026\003b\n");
	expect(slave, "a\003b\n");
}

TEST(end_of_file)
{
	char c;
	open_pty();
	type("\004");
	CHECK_EQ(read(slave, &c, 1), 0);
	type("ab\004");
	expect(slave, "ab");
	expect_nothing(slave);
	type("x\n");
	expect(slave, "x\n");
}

TEST(echo_of_control_characters)
{
	open_pty();
	change(ISIG, 0);
	type("\001\n");
	expect(master, "^A\r\n");
	change(ECHO, 0);
	type("silent\n");
	expect_nothing(master);
	change(0, ECHONL);
	type("x\n");
	expect(master, "\r\n");
}

TEST(raw)
{
	struct termios t;
	char buf[8];
	open_pty();
	CHECK_OK(tcgetattr(slave, &t));
	cfmakeraw(&t);
	CHECK_OK(tcsetattr(slave, TCSAFLUSH, &t));
	type("a\003\r\004");
	expect(slave, "a\003\r\004");
	expect_nothing(master);
	CHECK_EQ(write(slave, "x\ny", 3), 3);
	expect(master, "x\ny");
	t.c_cc[VMIN] = 3;
	t.c_cc[VTIME] = 0;
	CHECK_OK(tcsetattr(slave, TCSANOW, &t));
	type("ab");
	CHECK_EQ(readable(slave, 30), 0);
	type("c");
	CHECK_EQ(read(slave, buf, 8), 3);
	t.c_cc[VMIN] = 0;
	t.c_cc[VTIME] = 1;
	CHECK_OK(tcsetattr(slave, TCSANOW, &t));
	long long start = kt_now_ms();
	CHECK_EQ(read(slave, buf, 8), 0);
	CHECK(kt_now_ms() - start >= 90);
	t.c_cc[VTIME] = 0;
	CHECK_OK(tcsetattr(slave, TCSANOW, &t));
	CHECK_EQ(read(slave, buf, 8), 0);
}

TEST(input_translation)
{
	struct termios t;
	open_pty();
	CHECK_OK(tcgetattr(slave, &t));
	t.c_iflag = INLCR | IGNCR;
	t.c_lflag &= ~(ICANON | ECHO);
	CHECK_OK(tcsetattr(slave, TCSANOW, &t));
	type("a\rb\n");
	expect(slave, "ab\r");
	t.c_iflag = ISTRIP | IUCLC;
	CHECK_OK(tcsetattr(slave, TCSANOW, &t));
	type("\xc1" "B");
	expect(slave, "ab");
}

TEST(output_translation)
{
	struct termios t;
	open_pty();
	CHECK_EQ(write(slave, "a\tb\n", 4), 4);
	expect(master, "a\tb\r\n");
	CHECK_OK(tcgetattr(slave, &t));
	t.c_oflag = OPOST | ONLCR | XTABS;
	CHECK_OK(tcsetattr(slave, TCSADRAIN, &t));
	CHECK_EQ(write(slave, "a\tb", 3), 3);
	expect(master, "a       b");
	t.c_oflag = OPOST | OCRNL | OLCUC;
	CHECK_OK(tcsetattr(slave, TCSANOW, &t));
	CHECK_EQ(write(slave, "x\r", 2), 2);
	expect(master, "X\n");
	t.c_oflag = 0;
	CHECK_OK(tcsetattr(slave, TCSANOW, &t));
	CHECK_EQ(write(slave, "x\n", 2), 2);
	expect(master, "x\n");
}

TEST(flow_control)
{
	open_pty();
	change(ECHO, 0);
	type("\023");
	kt_sleep_ms(20);
	CHECK_OK(fcntl(slave, F_SETFL, O_NONBLOCK));
	CHECK_ERR(write(slave, "x", 1), EAGAIN);
	type("\021");
	WAIT_FOR(write(slave, "y", 1) == 1);
	expect(master, "y");
	CHECK_OK(tcflow(slave, TCOOFF));
	CHECK_ERR(write(slave, "x", 1), EAGAIN);
	CHECK_OK(tcflow(slave, TCOON));
	CHECK_EQ(write(slave, "z", 1), 1);
}

TEST(flushing_and_counting)
{
	int n;
	open_pty();
	change(ECHO, 0);
	type("abc\n");
	WAIT_FOR(ioctl(slave, FIONREAD, &n) == 0 && n == 4);
	CHECK_OK(tcflush(slave, TCIFLUSH));
	CHECK_OK(ioctl(slave, FIONREAD, &n));
	CHECK_EQ(n, 0);
	expect_nothing(slave);
	CHECK_ERR(tcflush(slave, 77), EINVAL);
	CHECK_OK(tcdrain(slave));
}

TEST(a_very_long_line_is_cut)
{
	static char line[6000], buf[6000];
	open_pty();
	change(ECHO, 0);
	memset(line, 'x', sizeof line);
	for (int i = 0; i < 6; i++)
		CHECK_EQ(write(master, line, 1000), 1000);
	CHECK_EQ(write(master, "\n", 1), 1);
	ssize_t n = CHECK_OK(read(slave, buf, sizeof buf));
	CHECK_EQ(n, 4096);
	CHECK_EQ(buf[4095], '\n');
}

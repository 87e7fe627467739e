/* Pseudo-terminals: pty(7), ptmx, devpts. */
#include <sys/epoll.h>

#include "pty.h"

TEST(locked_until_unlocked)
{
	int number, lock = 1;
	master = CHECK_OK(open("/dev/ptmx", O_RDWR | O_NOCTTY));
	CHECK_OK(ioctl(master, TIOCGPTN, &number));
	CHECK_OK(ioctl(master, TIOCGPTLCK, &lock));
	CHECK_EQ(lock, 1);
	snprintf(slave_name, sizeof slave_name, "/dev/pts/%d", number);
	CHECK_ERR(open(slave_name, O_RDWR | O_NOCTTY), EIO);
	lock = 0;
	CHECK_OK(ioctl(master, TIOCSPTLCK, &lock));
	CHECK_OK(open(slave_name, O_RDWR | O_NOCTTY));
	struct stat st;
	CHECK_OK(stat(slave_name, &st));
	CHECK(S_ISCHR(st.st_mode));
	CHECK_EQ(st.st_rdev, (136 << 8) + number);
	CHECK_EQ(st.st_uid, getuid());
}

TEST(the_other_end_by_descriptor)
{
	open_pty();
	int peer = CHECK_OK(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
	CHECK_EQ(fcntl(peer, F_GETFD), FD_CLOEXEC);
	struct stat a, b;
	CHECK_OK(fstat(peer, &a));
	CHECK_OK(fstat(slave, &b));
	CHECK_EQ(a.st_rdev, b.st_rdev);
}

TEST(the_master_goes_away)
{
	char c;
	open_pty();
	CHECK_OK(close(master));
	CHECK_EQ(read(slave, &c, 1), 0);
	CHECK_ERR(write(slave, "x", 1), EIO);
	struct pollfd p = { .fd = slave, .events = POLLIN };
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK(p.revents & POLLHUP);
	CHECK_ERR(open(slave_name, O_RDWR | O_NOCTTY), ENOENT);
}

TEST(the_slave_goes_away_and_comes_back)
{
	char c;
	open_pty();
	CHECK_EQ(write(slave, "bye", 3), 3);
	CHECK_OK(close(slave));
	expect(master, "bye");
	CHECK_ERR(read(master, &c, 1), EIO);
	struct pollfd p = { .fd = master, .events = POLLIN };
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK(p.revents & POLLHUP);
	slave = CHECK_OK(open(slave_name, O_RDWR | O_NOCTTY));
	CHECK_EQ(write(slave, "hi", 2), 2);
	expect(master, "hi");
}

static volatile int winches;

static void on_winch(int sig)
{
	(void)sig;
	winches++;
}

TEST(window_size)
{
	struct winsize w = { 50, 100, 3, 4 }, got;
	open_pty();
	CHECK_OK(ioctl(slave, TIOCGWINSZ, &got));
	CHECK_EQ(got.ws_row + got.ws_col, 0);
	CHECK_OK(ioctl(master, TIOCSWINSZ, &w));
	CHECK_OK(ioctl(slave, TIOCGWINSZ, &got));
	CHECK(got.ws_row == 50 && got.ws_col == 100 && got.ws_xpixel == 3 && got.ws_ypixel == 4);
	JOIN(SPAWN({
		CHECK_OK(setsid());
		signal(SIGWINCH, on_winch);
		CHECK_OK(ioctl(slave, TIOCSCTTY, 0));
		w.ws_row = 51;
		CHECK_OK(ioctl(master, TIOCSWINSZ, &w));
		WAIT_FOR(winches == 1);
		CHECK_OK(ioctl(master, TIOCSWINSZ, &w));
		kt_sleep_ms(20);
		CHECK_EQ(winches, 1);
	}));
}

TEST(many_pairs_are_separate)
{
	int m[20], s[20];
	char buf[8];
	for (int i = 0; i < 20; i++) {
		open_pty();
		m[i] = master;
		s[i] = slave;
		change(ECHO, 0);
	}
	for (int i = 0; i < 20; i++) {
		snprintf(buf, sizeof buf, "n%d\n", i);
		CHECK_EQ(write(m[i], buf, strlen(buf)), (ssize_t)strlen(buf));
	}
	for (int i = 0; i < 20; i++) {
		snprintf(buf, sizeof buf, "n%d\n", i);
		expect(s[i], buf);
	}
}

TEST(packet_mode)
{
	int on = 1;
	open_pty();
	change(ECHO, 0);
	CHECK_OK(ioctl(master, TIOCPKT, &on));
	CHECK_EQ(write(slave, "x", 1), 1);
	char buf[8];
	CHECK_EQ(read(master, buf, 8), 2);
	CHECK_EQ(buf[0], TIOCPKT_DATA);
	CHECK_EQ(buf[1], 'x');
	CHECK_OK(tcflush(slave, TCIFLUSH));
	CHECK_EQ(read(master, buf, 8), 1);
	CHECK_EQ(buf[0] & TIOCPKT_FLUSHREAD, TIOCPKT_FLUSHREAD);
}

TEST(a_lot_of_data)
{
	enum { SIZE = 100000 };
	struct termios t;
	open_pty();
	CHECK_OK(tcgetattr(slave, &t));
	cfmakeraw(&t);
	CHECK_OK(tcsetattr(slave, TCSANOW, &t));
	pid_t child = SPAWN({
		char out[997];
		for (int sent = 0; sent < SIZE;) {
			for (int i = 0; i < 997; i++)
				out[i] = (sent + i) % 251;
			int n = SIZE - sent < 997 ? SIZE - sent : 997;
			n = CHECK_OK(write(slave, out, n));
			sent += n;
		}
	});
	unsigned char in[4096];
	for (int got = 0; got < SIZE;) {
		ssize_t n = CHECK_OK(read(master, in, sizeof in));
		for (int i = 0; i < n; i++)
			CHECK_EQ(in[i], (got + i) % 251);
		got += n;
	}
	JOIN(child);
}

TEST(nonblocking_and_epoll)
{
	char c;
	open_pty();
	CHECK_OK(fcntl(master, F_SETFL, O_NONBLOCK));
	CHECK_ERR(read(master, &c, 1), EAGAIN);
	int ep = CHECK_OK(epoll_create1(0));
	struct epoll_event e = { .events = EPOLLIN };
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, master, &e));
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 0);
	CHECK_EQ(write(slave, "x", 1), 1);
	CHECK_EQ(epoll_wait(ep, &e, 1, 10000), 1);
}

TEST(not_every_ioctl_fits_every_file)
{
	int n;
	int null = CHECK_OK(open("/dev/null", O_RDWR));
	CHECK_ERR(ioctl(null, TIOCGWINSZ, &n), ENOTTY);
	CHECK_ERR(tcgetattr(null, &(struct termios){ 0 }), ENOTTY);
	open_pty();
	CHECK_ERR(ioctl(slave, TIOCGPTN, &n), ENOTTY);
	CHECK_ERR(ioctl(slave, 0x5499, &n), ENOTTY);
	CHECK_ERR(ioctl(slave, TCGETS, BAD_PTR), EFAULT);
	CHECK_ERR(lseek(slave, 0, SEEK_SET), ESPIPE);
}

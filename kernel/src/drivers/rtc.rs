//! The battery clock (MC146818), read once at boot.

use x86_64::instructions::port::Port;

const SECONDS: u8 = 0;
const MINUTES: u8 = 2;
const HOURS: u8 = 4;
const DAY: u8 = 7;
const MONTH: u8 = 8;
const YEAR: u8 = 9;
const STATUS_A: u8 = 10;
const STATUS_B: u8 = 11;

fn read(register: u8) -> u8 {
    // SAFETY: index and data port of the clock, used at boot by one CPU; bit 7 keeps NMIs as they are
    // by default.
    unsafe {
        Port::<u8>::new(0x70).write(register);
        Port::<u8>::new(0x71).read()
    }
}

/// Seconds since 1970. `century` is the index of the century's byte, or 0.
pub fn seconds(century: u8) -> u64 {
    let take = || {
        // The update takes 2 ms at most, and there is a limit to how long a broken clock is believed.
        for _ in 0..100_000 {
            if read(STATUS_A) & 0x80 == 0 {
                break;
            }
        }
        let registers = [SECONDS, MINUTES, HOURS, DAY, MONTH, YEAR, century];
        registers.map(|register| {
            if register == 0 && century == 0 {
                read(SECONDS)
            } else {
                read(register)
            }
        })
    };
    let mut fields = take();
    for _ in 0..10 {
        let again = take();
        if again == fields {
            break;
        }
        fields = again;
    }
    let status = read(STATUS_B);
    let decode = |raw: u8| {
        if status & 4 != 0 {
            u64::from(raw)
        } else {
            u64::from(raw >> 4) * 10 + u64::from(raw & 15)
        }
    };
    let pm = status & 2 == 0 && fields[2] & 0x80 != 0;
    let [second, minute, mut hour, day, month, year, cent] = [
        fields[0],
        fields[1],
        fields[2] & 0x7f,
        fields[3],
        fields[4],
        fields[5],
        fields[6],
    ]
    .map(decode);
    if status & 2 == 0 {
        hour = hour % 12 + if pm { 12 } else { 0 };
    }
    let year = match (century, cent) {
        (1.., 19..=21) => cent * 100 + year,
        _ => 2000 + year,
    };
    days_since_1970(year, month, day) * 86400 + hour * 3600 + minute * 60 + second
}

/// Howard Hinnant's `days_from_civil`, for years from 1970.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let (month, day) = (month.clamp(1, 12), day.clamp(1, 31));
    let y = if month <= 2 { year - 1 } else { year };
    let (era, yoe) = (y / 400, y % 400);
    let doy = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    (era * 146_097 + doe).saturating_sub(719_468)
}

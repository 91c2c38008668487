//! The `Date` field of a second (RFC 9110 section 5.6.7).

const DAY: u64 = 86_400;
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The line of the last second that one was asked for.
#[derive(Debug, Default)]
pub(super) struct DateLine {
    second: u64,
    line: String,
}

impl DateLine {
    /// The line of a Unix second, with its line break.
    pub(super) fn of(&mut self, second: u64) -> &[u8] {
        if self.second != second || self.line.is_empty() {
            self.line = write(second);
            self.second = second;
        }
        self.line.as_bytes()
    }
}

fn write(second: u64) -> String {
    let (days, time) = (second / DAY, second % DAY);
    let (year, month, day) = civil(days);
    let at = |names: &[&'static str], place: u64| {
        usize::try_from(place).ok().and_then(|place| names.get(place)).copied().unwrap_or_default()
    };
    let (hours, minutes, seconds) = (time / 3_600, time / 60 % 60, time % 60);
    let (weekday, month) = (at(&WEEKDAYS, days % 7), at(&MONTHS, month - 1));
    format!(
        "Date: {weekday}, {day:02} {month} {year:04} {hours:02}:{minutes:02}:{seconds:02} GMT\r\n"
    )
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar.
///
/// Years are counted from March on: so the leap day is a year's last one.
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153; // 0 is March
    let first = (153 * month + 2) / 5;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day - first + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_written_as_http_has_it() {
        let cases = [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_460_989_507, "Mon, 18 Apr 2016 14:25:07 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ];
        for (second, text) in cases {
            assert_eq!(write(second), format!("Date: {text}\r\n"));
        }
    }

    #[test]
    fn the_days_of_four_centuries_follow_each_other() {
        let (mut year, mut month, mut day) = civil(0);
        for days in 1..146_098 {
            let next = civil(days);
            let expected = [(year, month, day + 1), (year, month + 1, 1), (year + 1, 1, 1)];
            assert!(expected.contains(&next), "{next:?} after {:?}", (year, month, day));
            (year, month, day) = next;
        }
        assert_eq!((year, month, day), (2370, 1, 1));
    }
}

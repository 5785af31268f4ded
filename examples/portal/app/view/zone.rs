//! Instants and durations, as a person reads them.

use std::time::Duration;

use jiff::tz::TimeZone;
use maud::{Markup, html};
use session_engine::Timestamp;

/// The time zone that somebody reads times in.
pub(crate) struct Zone(TimeZone);

impl Zone {
    /// A zone of the IANA database by its name, in any case of its letters.
    pub(crate) fn named(name: &str) -> Option<Self> {
        TimeZone::get(name).ok().map(Self)
    }

    /// The zone that is kept, or UTC: a name that was known once may have left the database.
    pub(crate) fn of(kept: Option<&str>) -> Self {
        kept.and_then(Self::named).unwrap_or_else(Self::utc)
    }

    pub(crate) fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    pub(crate) fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The instant that a text means: in RFC 3339, or a date, with or without a time, in this zone.
    pub(crate) fn read(&self, text: &str) -> Option<Timestamp> {
        let instant = match text.parse::<jiff::Timestamp>() {
            Ok(instant) => instant,
            Err(_) => {
                let there = text.parse::<jiff::civil::DateTime>().ok()?;
                there.to_zoned(self.0.clone()).ok()?.timestamp()
            }
        };
        Some(Timestamp::from_millis(instant.as_millisecond()))
    }

    /// An instant in this zone.
    pub(super) fn show(&self, at: Timestamp) -> Markup {
        let instant = jiff::Timestamp::from_millisecond(at.as_millis());
        let text = match instant {
            Ok(instant) => {
                instant.to_zoned(self.0.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
            }
            // Beyond the year 9999.
            Err(_) => at.to_string(),
        };
        html! { time datetime=(at) { (text) } }
    }
}

/// A duration by its two largest units.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let unit = match seconds {
        0..3_600 => 1,
        3_600..86_400 => 60,
        _ => 3_600,
    };
    humantime::format_duration(Duration::from_secs(seconds / unit * unit)).to_string()
}

/// The zones that the page offers. Any other can be typed.
pub(super) const OFFERED: [&str; 22] = [
    "Africa/Cairo",
    "Africa/Johannesburg",
    "Africa/Lagos",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Mexico_City",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Dubai",
    "Asia/Hong_Kong",
    "Asia/Kolkata",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Europe/Athens",
    "Europe/Berlin",
    "Europe/London",
    "Europe/Paris",
    "Europe/Zurich",
    "Pacific/Auckland",
    "UTC",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_times_in_any_zone() {
        let at = Timestamp::from_millis(1_700_000_000_000);
        let berlin = Zone::named("europe/berlin").unwrap();
        assert_eq!(berlin.name(), "Europe/Berlin");
        assert!(berlin.show(at).into_string().contains(">2023-11-14 23:13:20 CET<"));
        assert!(Zone::of(Some("Nowhere/Land")).show(at).into_string().contains("22:13:20 UTC"));
        assert!(Zone::utc().show(Timestamp::MAX).into_string().contains(" ms"));
    }

    #[test]
    fn reads_what_people_write() {
        let zone = Zone::named("Europe/Berlin").unwrap();
        for (text, millis) in [
            ("2023-11-14", 1_699_916_400_000),
            ("2023-11-14 23:13", 1_699_999_980_000),
            ("2023-11-14T23:13:20", 1_700_000_000_000),
            ("2023-11-14T22:13:20Z", 1_700_000_000_000),
            ("2023-11-14T22:13:20.250+00:00", 1_700_000_000_250),
        ] {
            assert_eq!(zone.read(text), Some(Timestamp::from_millis(millis)), "{text}");
        }
        for text in ["", "yesterday", "2023-13-01", "14.11.2023", "23:13", "1700000000"] {
            assert_eq!(zone.read(text), None, "{text}");
        }
    }

    #[test]
    fn shows_two_units() {
        assert_eq!(span(Duration::from_millis(59_900)), "59s");
        assert_eq!(span(Duration::from_secs(3_599)), "59m 59s");
        assert_eq!(span(Duration::from_secs(43_199)), "11h 59m");
        assert_eq!(span(Duration::from_secs(100_000)), "1day 3h");
    }
}

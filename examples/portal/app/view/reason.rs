//! Why a session has ended, in words for the one who held it.

use maud::{Markup, html};
use session_engine::{Actor, End, Reason};

use super::Zone;

/// What the sign-in page says. The stable text of the reason stands in `data-reason`, for scripts.
pub(super) fn notice(end: &End) -> Markup {
    let (title, text) = told(&end.reason);
    html! {
        div.notice.bad #reason role="status" data-reason=(end.reason.code()) {
            strong { (title) }
            p {
                (text)
                @if let Actor::Operator(name) = &end.actor { " It was done by " b { (name) } "." }
            }
            p.fine { (Zone::utc().show(end.at)) }
        }
    }
}

/// What is said to whom has signed out: his browser no longer has anything to ask about.
pub(super) fn signed_out() -> Markup {
    let (title, text) = told(&Reason::SignedOut);
    html! {
        div.notice.good #reason role="status" data-reason=(Reason::SignedOut.code()) {
            strong { (title) }
            p { (text) }
        }
    }
}

/// A few words for a list.
pub(super) fn short(end: &End) -> Markup {
    html! {
        (told(&end.reason).0)
        @if let Actor::Operator(name) = &end.actor { " (" (name) ")" }
    }
}

fn told(reason: &Reason) -> (&'static str, &'static str) {
    match reason {
        Reason::SignedOut => ("Signed out", "You have signed out on this device."),
        Reason::IdleTimeout => {
            ("Signed out after inactivity", "Your session was not used for too long.")
        }
        Reason::AbsoluteTimeout => (
            "Session time is up",
            "Your session has reached its longest allowed time. Please sign in again.",
        ),
        Reason::EndedByOwner => (
            "Ended from another device",
            "You ended this session from another device. If that was not you, change your password.",
        ),
        Reason::EndedByAdministrator => {
            ("Ended by an administrator", "An administrator has ended your session.")
        }
        Reason::Superseded => (
            "Signed in elsewhere",
            "You have signed in on another device, and only so many sessions are allowed at once.",
        ),
        Reason::Replaced => {
            ("Replaced", "A newer sign-in in this browser has taken the place of this session.")
        }
        Reason::CredentialsChanged => {
            ("Password changed", "Your password was changed, which ends all sessions.")
        }
        Reason::RoleChanged => ("Permissions changed", "What you may do was changed."),
        Reason::SubjectDisabled => ("Account closed", "Your account was closed."),
        Reason::EveryoneRevoked => ("Everyone was signed out", "All sessions were ended at once."),
        Reason::ReuseDetected => (
            "Ended for your protection",
            "Your session was used from two places at once. Somebody may have copied its cookie.",
        ),
        Reason::PolicyViolation => ("Ended by a rule", "Your session broke a rule of this portal."),
        Reason::RiskDetected => {
            ("Ended for your protection", "It looked as if somebody else were using your session.")
        }
        Reason::Restarted => ("Restarted", "The portal was restarted and keeps no sessions."),
        // Reasons of newer versions, and of whatever else writes to the store.
        _ => ("Your session has ended", "Please sign in again."),
    }
}

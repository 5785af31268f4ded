//! Why a session has ended, in words for the one who held it.

use maud::{Markup, html};
use session_engine::{Actor, End, Reason};

use super::words::Words;
use super::zone::Zone;

/// What the sign-in page says. The stable text of the reason stands in `data-reason`, for scripts.
pub(super) fn notice(end: &End, words: &Words) -> Markup {
    let (title, text) = told(&end.reason, words);
    html! {
        div.notice.bad #reason role="status" data-reason=(end.reason.code()) {
            strong { (title) }
            p {
                (text)
                @if let Actor::Operator(name) = &end.actor {
                    " " (words.it_was_done_by.0) b { (name) } (words.it_was_done_by.1)
                }
            }
            p.fine { (Zone::utc().show(end.at)) }
        }
    }
}

/// What is said to whom has signed out: his browser no longer has anything to ask about.
pub(super) fn signed_out(words: &Words) -> Markup {
    let (title, text) = told(&Reason::SignedOut, words);
    html! {
        div.notice.good #reason role="status" data-reason=(Reason::SignedOut.code()) {
            strong { (title) }
            p { (text) }
        }
    }
}

/// A few words for a list that only administrators read.
pub(super) fn short(end: &End) -> Markup {
    html! {
        (told(&end.reason, Words::of(None)).0)
        @if let Actor::Operator(name) = &end.actor { " (" (name) ")" }
    }
}

/// A title and a sentence, in each language.
pub(super) fn told(reason: &Reason, words: &Words) -> (&'static str, &'static str) {
    let [english, german, french] = match reason {
        Reason::SignedOut => [
            ("Signed out", "You have signed out on this device."),
            ("Abgemeldet", "Sie haben sich auf diesem Gerät abgemeldet."),
            ("Déconnexion", "Vous vous êtes déconnecté sur cet appareil."),
        ],
        Reason::IdleTimeout => [
            ("Signed out after inactivity", "Your session was not used for too long."),
            ("Abgemeldet nach Untätigkeit", "Ihre Sitzung wurde zu lange nicht genutzt."),
            ("Déconnexion pour inactivité", "Votre session est restée inutilisée trop longtemps."),
        ],
        Reason::AbsoluteTimeout => [
            (
                "Session time is up",
                "Your session has reached its longest allowed time. Please sign in again.",
            ),
            (
                "Zeit abgelaufen",
                "Ihre Sitzung hat ihre längste erlaubte Dauer erreicht. Bitte melden Sie sich neu an.",
            ),
            (
                "Durée écoulée",
                "Votre session a atteint sa durée maximale. Veuillez vous reconnecter.",
            ),
        ],
        Reason::EndedByOwner => [
            (
                "Ended from another device",
                "You ended this session from another device. If that was not you, change your password.",
            ),
            (
                "Von einem anderen Gerät beendet",
                "Sie haben diese Sitzung von einem anderen Gerät aus beendet. Waren Sie das nicht, ändern Sie Ihr \
                 Passwort.",
            ),
            (
                "Terminée depuis un autre appareil",
                "Vous avez mis fin à cette session depuis un autre appareil. Si ce n’était pas vous, changez votre \
                 mot de passe.",
            ),
        ],
        Reason::EndedByAdministrator => [
            ("Ended by an administrator", "An administrator has ended your session."),
            ("Von der Verwaltung beendet", "Die Verwaltung hat Ihre Sitzung beendet."),
            ("Terminée par l’administration", "L’administration a mis fin à votre session."),
        ],
        Reason::Superseded => [
            (
                "Signed in elsewhere",
                "You have signed in on another device, and only so many sessions are allowed at once.",
            ),
            (
                "Anderswo angemeldet",
                "Sie haben sich auf einem anderen Gerät angemeldet, und nur so viele Sitzungen sind zugleich erlaubt.",
            ),
            (
                "Connexion ailleurs",
                "Vous vous êtes connecté sur un autre appareil, et le nombre de sessions est limité.",
            ),
        ],
        Reason::Replaced => [
            ("Replaced", "A newer sign-in in this browser has taken the place of this session."),
            (
                "Ersetzt",
                "Eine neuere Anmeldung in diesem Browser ist an die Stelle dieser Sitzung getreten.",
            ),
            (
                "Remplacée",
                "Une connexion plus récente dans ce navigateur a pris la place de cette session.",
            ),
        ],
        Reason::CredentialsChanged => [
            ("Password changed", "Your password was changed, which ends all other sessions."),
            (
                "Passwort geändert",
                "Ihr Passwort wurde geändert. Das beendet alle anderen Sitzungen.",
            ),
            (
                "Mot de passe changé",
                "Votre mot de passe a été changé, ce qui met fin à toutes les autres sessions.",
            ),
        ],
        Reason::RoleChanged => [
            ("Permissions changed", "What you may do was changed. Please sign in again."),
            ("Rechte geändert", "Was Sie dürfen, wurde geändert. Bitte melden Sie sich neu an."),
            ("Droits modifiés", "Ce que vous pouvez faire a changé. Veuillez vous reconnecter."),
        ],
        Reason::SubjectDisabled => [
            ("Account closed", "Your account was closed."),
            ("Konto gesperrt", "Ihr Konto wurde gesperrt."),
            ("Compte fermé", "Votre compte a été fermé."),
        ],
        Reason::EveryoneRevoked => [
            ("Everyone was signed out", "All sessions were ended at once."),
            ("Alle wurden abgemeldet", "Alle Sitzungen wurden auf einmal beendet."),
            (
                "Tout le monde a été déconnecté",
                "Il a été mis fin à toutes les sessions d’un seul coup.",
            ),
        ],
        Reason::ReuseDetected => [
            (
                "Ended for your protection",
                "Your session was used from two places at once. Somebody may have copied its cookie.",
            ),
            (
                "Zu Ihrem Schutz beendet",
                "Ihre Sitzung wurde von zwei Orten zugleich benutzt. Vielleicht hat jemand ihren Cookie kopiert.",
            ),
            (
                "Terminée pour votre protection",
                "Votre session a été utilisée de deux endroits à la fois. Son cookie a peut-être été copié.",
            ),
        ],
        Reason::PolicyViolation => [
            ("Ended by a rule", "Your session broke a rule of this portal."),
            ("Durch eine Regel beendet", "Ihre Sitzung hat eine Regel dieses Portals verletzt."),
            ("Terminée par une règle", "Votre session a enfreint une règle de ce portail."),
        ],
        Reason::RiskDetected => [
            ("Ended for your protection", "It looked as if somebody else were using your session."),
            ("Zu Ihrem Schutz beendet", "Es sah so aus, als benutze jemand anders Ihre Sitzung."),
            (
                "Terminée pour votre protection",
                "Quelqu’un d’autre semblait utiliser votre session.",
            ),
        ],
        Reason::Restarted => [
            ("Restarted", "The portal was restarted and keeps no sessions."),
            ("Neu gestartet", "Das Portal wurde neu gestartet und behält keine Sitzungen."),
            ("Redémarrage", "Le portail a été redémarré et ne conserve aucune session."),
        ],
        // Reasons of newer versions, and of whatever else writes to the store.
        _ => [
            ("Your session has ended", "Please sign in again."),
            ("Ihre Sitzung ist beendet", "Bitte melden Sie sich neu an."),
            ("Votre session a pris fin", "Veuillez vous reconnecter."),
        ],
    };
    words.choose(english, german, french)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_words_of_its_own_in_every_language() {
        for words in Words::all() {
            let unknown = told(&Reason::from_code("x_own").unwrap(), words);
            for code in [
                "idle_timeout",
                "absolute_timeout",
                "signed_out",
                "ended_by_owner",
                "ended_by_administrator",
                "superseded",
                "replaced",
                "credentials_changed",
                "role_changed",
                "subject_disabled",
                "everyone_revoked",
                "reuse_detected",
                "policy_violation",
                "risk_detected",
                "restarted",
            ] {
                let reason = Reason::from_code(code).unwrap();
                assert!(!matches!(reason, Reason::Other(_)), "{code}");
                assert_ne!(told(&reason, words), unknown, "{code} in {}", words.lang);
                if words.lang != "en" {
                    assert_ne!(told(&reason, words), told(&reason, Words::of(None)), "{code}");
                }
            }
        }
    }
}

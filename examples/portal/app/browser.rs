//! A name for a browser that its owner recognises.

use maud::{Render, html};
use session_engine::client::Agent;

/// What a `User-Agent` seems to be. It is a help for people, and decides nothing: anybody may send any text.
pub(crate) struct Browser<'a>(pub(crate) Option<&'a str>);

impl Render for Browser<'_> {
    fn render_to(&self, buffer: &mut String) {
        let name = match self.0.and_then(Agent::parse) {
            Some(Agent { browser, system: Some(system), .. }) => {
                html! { (browser) " (" (system) ")" }
            }
            Some(Agent { browser, .. }) => html! { (browser) },
            None => html! { "Another client" },
        };
        buffer.push_str(&name.into_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_browsers_that_people_have() {
        for (agent, name) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox (Linux)",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
                "Edge (Windows)",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                 HeadlessChrome/140.0.0.0 Safari/537.36",
                "Chrome (Linux)",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like \
                 Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari (iOS)",
            ),
            ("curl/8.14.1", "curl"),
            ("", "Another client"),
            ("<script>", "Another client"),
        ] {
            assert_eq!(Browser(Some(agent)).render().into_string(), name);
        }
    }
}

//! Somebody with a browser: keeps cookies, and sends the forms of the page that was shown last.

use std::collections::BTreeMap;

use form_urlencoded::Serializer;

use crate::client::{Client, Reply};
use crate::site::{PASSWORD, Site};

pub(crate) struct Visitor {
    client: Client,
    agent: &'static str,
    /// What the proxies before the portal say.
    forwarded_for: &'static str,
    /// The cookies, by their names.
    pub(crate) jar: BTreeMap<String, String>,
    /// What binds the forms of the last page.
    pub(crate) csrf: String,
}

impl Visitor {
    pub(crate) fn of(site: &Site) -> Self {
        Self::at(&site.url)
    }

    pub(crate) fn at(url: &str) -> Self {
        let address = url.trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
        let (agent, jar) = ("curl/8.14.1", BTreeMap::new());
        let client = Client::new(address);
        Self { client, agent, forwarded_for: "", jar, csrf: String::new() }
    }

    /// Somebody who has signed in.
    pub(crate) fn signed_in(site: &Site, user: &str) -> Self {
        let mut visitor = Self::of(site);
        visitor.sign_in(user);
        visitor
    }

    pub(crate) fn with_agent(mut self, agent: &'static str) -> Self {
        self.agent = agent;
        self
    }

    /// The same with an `X-Forwarded-For`.
    pub(crate) fn forwarded_for(mut self, addresses: &'static str) -> Self {
        self.forwarded_for = addresses;
        self
    }

    /// Signs in, and looks at the home page.
    pub(crate) fn sign_in(&mut self, user: &str) -> Reply {
        self.get("/login");
        let reply = self.post("/login", &[("username", user), ("password", PASSWORD)]);
        assert_eq!((reply.status, reply.all("location")), (303, vec!["/"]), "{reply:?}");
        self.get("/")
    }

    /// Asks for a page, and does not follow where it leads.
    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.send("GET", path, "")
    }

    /// Sends a form of the last page.
    pub(crate) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let csrf = self.csrf.clone();
        let all: Vec<_> = fields.iter().copied().chain([("csrf", &*csrf)]).collect();
        self.post_exactly(path, &all)
    }

    /// Sends these fields and no others.
    pub(crate) fn post_exactly(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        self.send("POST", path, &Serializer::new(String::new()).extend_pairs(fields).finish())
    }

    /// Sends a form, and asks for the page that it leads to.
    pub(crate) fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let reply = self.post(path, fields);
        assert_eq!(reply.status, 303, "{path}: {reply:?}");
        self.get(reply.all("location")[0])
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, body: &str) -> Reply {
        let reply = self.try_send(method, path, body).expect("an answer");
        self.keep(&reply);
        reply
    }

    /// `None` if the server hangs up without an answer. Cookies are not kept.
    pub(crate) fn try_send(&self, method: &str, path: &str, body: &str) -> Option<Reply> {
        let pairs = self.jar.iter().map(|(name, value)| format!("{name}={value}"));
        let cookies = pairs.collect::<Vec<_>>().join("; ");
        let kind = if method == "POST" { "application/x-www-form-urlencoded" } else { "" };
        let fields = [
            ("cookie", cookies.as_bytes()),
            ("content-type", kind.as_bytes()),
            ("user-agent", self.agent.as_bytes()),
            ("x-forwarded-for", self.forwarded_for.as_bytes()),
        ];
        self.client.try_send(method, path, &fields, body)
    }

    /// Sends a request that no browser would.
    pub(crate) fn send_raw(&self, method: &str, path: &str, fields: &[(&str, &[u8])]) -> Reply {
        self.client.send(method, path, fields, "")
    }

    /// The session's cookie.
    pub(crate) fn token(&self) -> String {
        self.jar["id"].clone()
    }

    /// The id of the session, as the home page shows it.
    pub(crate) fn session(&mut self) -> String {
        let home = self.get("/").body;
        between(&home, "id=\"session-id\">", "<").unwrap().to_owned()
    }

    fn keep(&mut self, reply: &Reply) {
        for (name, value) in reply.cookies().filter_map(|pair| pair.split_once('=')) {
            match value {
                "" => self.jar.remove(name),
                value => self.jar.insert(name.to_owned(), value.to_owned()),
            };
        }
        if let Some(csrf) = between(&reply.body, "name=\"csrf\" value=\"", "\"") {
            csrf.clone_into(&mut self.csrf);
        }
    }
}

/// The text between two others.
pub(crate) fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    Some(text.split_once(before)?.1.split_once(after)?.0)
}

/// The reason that a sign-in page shows.
pub(crate) fn reason(page: &Reply) -> Option<&str> {
    assert_eq!(page.status, 200);
    assert!(page.body.contains("<h1>Sign in</h1>"), "{}", page.body);
    between(&page.body, "data-reason=\"", "\"")
}

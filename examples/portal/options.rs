//! What may be said on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use session_engine::Policy;
use session_engine::client::Proxies;
use session_engine::cookie::CookieConfig;
use session_engine::risk::Mode;

use crate::Failure;
use crate::app::REMEMBERED;

/// A small application on session-engine: sign in, see your sessions, end them.
#[derive(Debug, Parser)]
#[command(name = "portal", version)]
pub(crate) struct Options {
    /// The address to listen on; port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// The store of the sessions: memory:, sqlite://FILE, sled://DIR or postgres://USER:PASSWORD@HOST/DATABASE. Others on this
    /// machine can read an option: better set the variable if there is a password in it.
    #[arg(
        long,
        value_name = "URL",
        env = "PORTAL_STORE",
        hide_env_values = true,
        default_value = "sqlite://portal.db"
    )]
    pub(crate) store: String,
    /// A TOML file with the limits of sessions; examples/portal/policy.toml shows every setting.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Print the policy as a table, with its deviations from the standards, and end.
    #[arg(long)]
    pub(crate) describe: bool,
    /// Sign everyone out before the first request. For stores that this process has for itself: memory: and sled://.
    #[arg(long)]
    pub(crate) sign_out_on_restart: bool,
    /// Sign everyone out, and end: for stores that several processes share, which go on serving.
    #[arg(long, conflicts_with = "sign_out_on_restart")]
    pub(crate) sign_out_everyone: bool,
    /// One password for all three users, in place of invented ones. Others on this machine can read an
    /// option: better set the variable.
    #[arg(long, value_name = "PASSWORD", env = "PORTAL_PASSWORD", hide_env_values = true)]
    pub(crate) password: Option<String>,
    /// Which proxies are believed when they say whom they speak for: none, or their header and how many or where they are, as
    /// in "x-forwarded-for hops=1" or "forwarded networks=10.0.0.0/8".
    #[arg(long, value_name = "PROXIES", default_value = "none")]
    pub(crate) proxies: Proxies,
    /// Hold back a session that turns up in another browser until its holder signs in again, or end it: without this it is
    /// only noticed and told.
    #[arg(long)]
    enforce_risk: bool,
    /// Use the secure cookie: for behind a proxy that speaks https with the browser.
    #[arg(long, conflicts_with = "insecure")]
    behind_https: bool,
    /// Use the insecure development cookie on an address that others can reach. Everybody on the way can take
    /// over every session.
    #[arg(long)]
    insecure: bool,
}

impl Options {
    /// The cookie: secure behind https, else the insecure one for development, which is refused on an address
    /// that others can reach.
    pub(crate) fn cookie(&self) -> Result<CookieConfig, Failure> {
        // The cookie of whoever asked to stay signed in outlives the browser.
        let remembering = |cookie: CookieConfig| cookie.persistent_for(REMEMBERED.clone());
        if self.behind_https {
            return Ok(remembering(CookieConfig::new()));
        }
        if self.listen.ip().to_canonical().is_loopback() || self.insecure {
            return Ok(remembering(CookieConfig::insecure_development()));
        }
        let text = format!(
            "{} can be reached by others, and this is plain http: put it behind https and say --behind-https, or \
             listen on a loopback address (or say --insecure, and mean it)",
            self.listen
        );
        Err(text.into())
    }

    /// The store's URL, unless it may hold a password.
    pub(crate) fn store_in_words(&self) -> &str {
        match self.store.split_once(':') {
            Some(("memory" | "sqlite" | "sled", _)) => &self.store,
            Some(("postgres" | "postgresql", _)) => "postgres://…",
            _ => "that was named",
        }
    }

    pub(crate) fn cookie_in_words(&self) -> &'static str {
        if self.behind_https {
            "(secure: browsers send it over https only)"
        } else {
            "(insecure, for development only: plain http without Secure)"
        }
    }

    pub(crate) fn risk(&self) -> Mode {
        if self.enforce_risk { Mode::Enforce } else { Mode::Observe }
    }

    pub(crate) fn policy(&self) -> Result<Policy, Failure> {
        let Some(file) = &self.policy else { return Ok(Policy::default()) };
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("the policy {} cannot be read: {error}", file.display()))?;
        Policy::from_toml(&text).map_err(|error| format!("{}: {error}", file.display()).into())
    }

    pub(crate) fn policy_in_words(&self) -> String {
        self.policy.as_ref().map_or("built in".to_owned(), |file| file.display().to_string())
    }

    /// The password that was given, or an invented one.
    pub(crate) fn password(
        &self,
        invent: impl Fn() -> Result<String, Failure>,
    ) -> Result<String, Failure> {
        match self.password.as_deref() {
            Some("") => Err("the password is empty".into()),
            Some(given) => Ok(given.to_owned()),
            None => invent(),
        }
    }
}

//! A database's URL: what is ours in it, and what is libpq's.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use session_core::{StoreError, StoreErrorKind};
use tokio_postgres::Config;
use tokio_postgres::config::TargetSessionAttrs;

/// What a URL says.
pub(crate) struct Url {
    pub(crate) config: Config,
    pub(crate) schema: Option<String>,
    pub(crate) ca_file: Option<PathBuf>,
}

/// # Errors
/// The URL is none of Postgres. No text of it stands in the error but the name of a key that it gives, and that only
/// if it cannot be a part of a password: an `@` too many is refused before, and after `password=` no key is named.
pub(crate) fn parse(url: &str) -> Result<Url, StoreError> {
    let rest = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"))
        .ok_or_else(|| invalid("the URL does not begin with postgres:// or postgresql://"))?;
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    if query.contains('@') || before.matches('@').count() > 1 {
        return Err(invalid(
            "an @ stands elsewhere than before the host: write special characters as %XX",
        ));
    }
    let with_password = query.split('&').any(|pair| pair.starts_with("password="));
    let (mut schema, mut ca_file, mut names_server) = (None, None, false);
    let mut others = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) =
            pair.split_once('=').ok_or_else(|| invalid("an option of the URL has no value"))?;
        let decoded = || {
            percent_decode_str(value)
                .decode_utf8()
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| invalid(format!("the value of the option {key} is not UTF-8")))
        };
        match key {
            "schema" => schema = Some(decoded()?),
            "sslrootcert" => ca_file = Some(PathBuf::from(decoded()?)),
            // Certificates are always checked, and the host's name with them.
            "sslmode" if value == "verify-full" => others.push("sslmode=require"),
            _ => {
                names_server |= key == "target_session_attrs";
                others.push(pair);
            }
        }
    }
    let plain = format!("postgres://{before}?{}", others.join("&"));
    let mut config: Config = plain.parse().map_err(|error: tokio_postgres::Error| {
        if with_password {
            return invalid(
                "the URL cannot be read: an option is not known, or not like that; special characters, & among \
                 them, are written as %XX",
            );
        }
        // The source says which option, and nothing of what it was.
        let why = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
        invalid(format!("the URL cannot be read: {why}"))
    })?;
    if !names_server {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    if config.get_application_name().is_none() {
        config.application_name("session-engine");
    }
    Ok(Url { config, schema, ca_file })
}

fn invalid(what: impl Into<std::borrow::Cow<'static, str>>) -> StoreError {
    StoreError::new(StoreErrorKind::Invalid, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        let error = parse(url).map(drop).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Invalid);
        let told = format!("{error} {error:?}");
        assert!(!told.contains("s3cret"), "{told}");
        told
    }

    #[test]
    fn what_is_ours_is_taken_out() {
        let url = parse("postgresql://a:b@h/d?schema=my%20shop&connect_timeout=3").unwrap();
        assert_eq!(url.schema.as_deref(), Some("my shop"));
        assert_eq!(url.config.get_dbname(), Some("d"));
        assert_eq!(url.config.get_application_name(), Some("session-engine"));
        assert_eq!(url.config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        let url = parse("postgres://h/d?target_session_attrs=any&sslmode=verify-full").unwrap();
        assert_eq!(url.config.get_target_session_attrs(), TargetSessionAttrs::Any);
        assert_eq!(url.config.get_ssl_mode(), tokio_postgres::config::SslMode::Require);
    }

    #[test]
    fn several_hosts_and_sockets_are_taken() {
        let url = parse("postgres://a:p%40ss@h:1,i:2/d%40x?schema=%22x%22").unwrap();
        assert_eq!(url.config.get_password(), Some(&b"p@ss"[..]));
        assert_eq!(url.config.get_ports(), [1, 2]);
        assert_eq!(url.config.get_dbname(), Some("d@x"));
        assert_eq!(url.schema.as_deref(), Some("\"x\""));
        assert_eq!(parse("postgres://a@%2Frun%2Fpg/d").unwrap().config.get_hosts().len(), 1);
        assert_eq!(parse("postgres:///d?host=/run/pg").unwrap().config.get_hosts().len(), 1);
    }

    #[test]
    fn wrong_urls_name_what_is_wrong_and_no_password() {
        assert!(refusal("mysql://a:s3cret@h/d").contains("begin with postgres://"));
        assert!(refusal("postgres://a:s3cret@h:port/d").contains("port"));
        assert!(refusal("postgres://a:s3cret@h/d?sslmode=maybe").contains("sslmode"));
        assert!(refusal("postgres://a:s3cret@h/d?colour=red").contains("colour"));
        assert!(refusal("postgres://a:s3cret@h/d?connect_timeout").contains("no value"));
        assert!(refusal("postgres://a:what?s3cret=1@h/d").contains("%XX"));
        assert!(refusal("postgres://a:s3cret@h/d%ff").contains("cannot be read"));
        assert!(refusal("postgres://a:what@s3cret@h/d").contains("%XX"));
        assert!(refusal("postgres://a:what@x/s3cret@h/d").contains("%XX"));
        assert!(refusal("postgres://h/d?password=what&s3cret=1").contains("an option"));
        assert!(refusal("postgres://h/d?password=what&s3cret").contains("an option"));
        assert!(refusal("postgres://h/d?password=what&s3cret=%ff").contains("an option"));
        assert!(refusal("postgres://h/d?password=what&%ff=s3cret").contains("cannot be read"));
        assert!(refusal("postgres://a:s3cret@h/d?schema=%ff").contains("schema"));
        assert!(refusal("postgres://a:s3cret@h,i:70000/d").contains("port"));
    }
}

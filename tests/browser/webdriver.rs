//! A small client of the WebDriver protocol (W3C): enough to use a web application as a person does.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// What went wrong between the test, the driver and the browser.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// A browser with a profile of its own: new and empty, and gone with its processes when dropped.
#[derive(Debug)]
pub(crate) struct Browser {
    agent: ureq::Agent,
    session: String,
    driver: Child,
    profile: PathBuf,
}

impl Browser {
    /// Starts a driver on a free port of the loopback interface, and a browser through it.
    ///
    /// # Errors
    /// `SESSION_CHROMIUM` and `SESSION_CHROMEDRIVER` name no browser and driver, and none is where Debian
    /// puts them; or one of them does not start.
    pub(crate) fn open() -> Result<Self, Failure> {
        let chromium = program("SESSION_CHROMIUM", "/usr/bin/chromium")?;
        let mut driver = Command::new(program("SESSION_CHROMEDRIVER", "/usr/bin/chromedriver")?)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let port = port(&mut driver);
        // From here on, whatever fails, dropping the browser ends the driver.
        let mut browser =
            Self { agent: agent(), session: String::new(), driver, profile: profile_directory() };
        let root = format!("http://127.0.0.1:{}/session", port?);
        std::fs::create_dir_all(&browser.profile)?;
        let profile = format!("--user-data-dir={}", browser.profile.display());
        let arguments: Vec<&str> = ARGUMENTS.iter().copied().chain([profile.as_str()]).collect();
        let options = json!({ "binary": chromium, "args": arguments });
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "timeouts": { "implicit": 5_000, "pageLoad": 30_000, "script": 30_000 },
        } } });
        let answer = browser.ask(browser.agent.post(&root).send(wanted.to_string()))?;
        let id = answer["sessionId"].as_str().ok_or("the driver gave no session")?;
        browser.session = format!("{root}/{id}");
        Ok(browser)
    }

    /// Loads a page.
    pub(crate) fn goto(&self, url: &str) -> Result<(), Failure> {
        self.post("/url", &json!({ "url": url })).map(drop)
    }

    /// Where the browser is.
    pub(crate) fn url(&self) -> Result<String, Failure> {
        text(self.get("/url")?)
    }

    /// The first element that a CSS selector matches. Waits up to five seconds for it.
    pub(crate) fn find(&self, css: &str) -> Result<Element<'_>, Failure> {
        let found = self.post("/element", &json!({ "using": "css selector", "value": css }))?;
        let id = found[ELEMENT].as_str().ok_or_else(|| format!("nothing matches {css:?}"))?;
        Ok(Element { browser: self, id: id.to_owned() })
    }

    /// The text that a person sees in the first element that a CSS selector matches.
    pub(crate) fn text(&self, css: &str) -> Result<String, Failure> {
        self.find(css)?.text()
    }

    /// The cookies that the browser would send to this page, as the protocol describes them.
    pub(crate) fn cookies(&self) -> Result<Vec<Value>, Failure> {
        Ok(self.get("/cookie")?.as_array().cloned().unwrap_or_default())
    }

    /// Writes what the browser shows to a PNG file.
    pub(crate) fn screenshot(&self, file: &Path) -> Result<(), Failure> {
        let image = STANDARD.decode(text(self.get("/screenshot")?)?)?;
        Ok(std::fs::write(file, image)?)
    }

    /// Sends a command of the Chrome DevTools Protocol: for what WebDriver cannot say.
    pub(crate) fn devtools(&self, command: &str, parameters: &Value) -> Result<Value, Failure> {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask(self.agent.get(format!("{}{path}", self.session)).call())
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(self.agent.post(format!("{}{path}", self.session)).send(body.to_string()))
    }

    fn ask(&self, answer: Result<Answer, ureq::Error>) -> Result<Value, Failure> {
        let text = answer?.body_mut().read_to_string()?;
        let mut answer: Value = serde_json::from_str(&text)?;
        let value = answer["value"].take();
        match (value["error"].as_str(), value["message"].as_str()) {
            (Some(error), Some(message)) => Err(format!("{error}: {message}").into()),
            _ => Ok(value),
        }
    }
}

type Answer = ureq::http::Response<ureq::Body>;

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver waits until the browser is gone before it answers.
        if !self.session.is_empty() {
            let _ = self.agent.delete(&self.session).call();
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

/// An element of the page that the browser shows.
#[derive(Debug)]
pub(crate) struct Element<'a> {
    browser: &'a Browser,
    id: String,
}

impl Element<'_> {
    /// The text that a person sees in it.
    pub(crate) fn text(&self) -> Result<String, Failure> {
        text(self.browser.get(&format!("/element/{}/text", self.id))?)
    }

    /// Clicks on it; if it is a link or sends a form, waits up to five seconds for the next page.
    pub(crate) fn click(&self) -> Result<(), Failure> {
        let leaves = self.mark(false)?;
        self.post("click", &json!({}))?;
        self.arrive(leaves)
    }

    /// Types into it, in place of what stands there.
    pub(crate) fn type_text(&self, text: &str) -> Result<(), Failure> {
        self.post("clear", &json!({}))?;
        self.post("value", &json!({ "text": text }))
    }

    /// Submits the form that it is in, as the Enter key does, and waits for the next page.
    pub(crate) fn submit(&self) -> Result<(), Failure> {
        let leaves = self.mark(true)?;
        self.post("value", &json!({ "text": "\u{e007}" }))?;
        self.arrive(leaves)
    }

    /// Marks the page if what follows leaves it. Without a mark the page before could be read for the next
    /// one: the driver does not wait for a navigation that has yet to begin.
    fn mark(&self, enter: bool) -> Result<bool, Failure> {
        let body = json!({ "script": MARK, "args": [{ ELEMENT: self.id }, enter] });
        Ok(self.browser.post("/execute/sync", &body)? == true)
    }

    fn arrive(&self, leaves: bool) -> Result<(), Failure> {
        if leaves {
            self.browser
                .find("html:not([data-left])")
                .map_err(|error| format!("still there: {error}"))?;
        }
        Ok(())
    }

    fn post(&self, action: &str, body: &Value) -> Result<(), Failure> {
        self.browser.post(&format!("/element/{}/{action}", self.id), body).map(drop)
    }
}

/// The key under which the protocol names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Whether a click on an element (or the Enter key in it) leaves the page: by a link, or by a form that is valid.
const MARK: &str = "
    const [target, enter] = arguments;
    const element = target.closest('a[href], button, input');
    const form = element?.form;
    const leaves = form
        ? (enter || element.type === 'submit') && (form.noValidate || form.checkValidity())
        : !enter && element?.matches('a:not([href^=\"#\"])') === true;
    if (leaves) document.documentElement.dataset.left = '';
    return leaves;
";

/// No window, no sandbox (which needs a user that containers often lack), and no calls home.
const ARGUMENTS: [&str; 11] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--window-size=1200,900",
];

fn program(variable: &str, usual: &str) -> Result<PathBuf, Failure> {
    let path = std::env::var_os(variable).map_or_else(|| usual.into(), PathBuf::from);
    if path.is_file() {
        return Ok(path);
    }
    Err(format!("{} is missing: run `cargo xtask test`, or set {variable}", path.display()).into())
}

/// The port that the driver has chosen, which it tells on its standard output.
fn port(driver: &mut Child) -> Result<u16, Failure> {
    let output = driver.stdout.take().ok_or("the driver has no output")?;
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next().transpose()? {
        let told = line.strip_suffix('.').and_then(|line| line.rsplit_once(" on port "));
        if let Some((_, port)) = told {
            // A driver whose output nobody reads would stop.
            std::thread::spawn(move || lines.for_each(drop));
            return Ok(port.parse()?);
        }
    }
    Err("the driver ended without telling its port".into())
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .into()
}

fn profile_directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("session-browser-{}-{number}", std::process::id()))
}

fn text(value: Value) -> Result<String, Failure> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(format!("the driver answered {other} where a text was due").into()),
    }
}

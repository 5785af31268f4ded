//! The tools of these tests do what they say: shown on a page of their own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::webdriver::{Browser, Failure};

#[test]
fn a_browser_fills_a_form_and_keeps_its_own_cookies() -> Result<(), Failure> {
    let site = serve()?;
    let (one, other) = (Browser::open()?, Browser::open()?);

    one.goto(&site)?;
    assert_eq!(one.text("h1")?, "Who is there?");
    assert!(one.cookies()?.is_empty());
    one.find("input[name=name]")?.type_text("Zo\u{eb} & co")?;
    one.find("button")?.click()?;
    assert_eq!(one.url()?, format!("{site}hello"));
    assert_eq!(one.text("h1")?, "name=Zo%C3%AB+%26+co");
    let cookies = one.cookies()?;
    assert_eq!(cookies.len(), 1);
    assert_eq!((&cookies[0]["name"], &cookies[0]["value"]), (&"seen".into(), &"yes".into()));
    assert_eq!(cookies[0]["httpOnly"], true);

    other.goto(&site)?;
    assert!(other.cookies()?.is_empty(), "profiles share nothing");
    other.find("input[name=name]")?.type_text("first")?;
    other.find("input[name=name]")?.type_text("second")?;
    other.find("input[name=name]")?.submit()?;
    assert_eq!(other.text("h1#answer")?, "name=second");

    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("form.png");
    one.screenshot(&file)?;
    assert!(std::fs::read(&file)?.starts_with(b"\x89PNG"));
    let refused = other.find("h1[").unwrap_err().to_string();
    assert!(refused.starts_with("invalid selector: "), "{refused}");
    Ok(())
}

/// A site of two pages, a form and its answer, until the test ends.
fn serve() -> Result<String, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let site = format!("http://{}/", listener.local_addr()?);
    std::thread::spawn(move || {
        // A browser opens connections that it does not use, so each has a thread of its own.
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream).ok());
        }
    });
    Ok(site)
}

fn answer(mut stream: TcpStream) -> Result<(), Failure> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut first)?;
    while reader.read_line(&mut line)? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (head, page) = if first.starts_with("POST /hello ") {
        let name = String::from_utf8(body)?.replace('&', "&amp;");
        ("Set-Cookie: seen=yes; HttpOnly\r\n", format!("<h1 id=answer>{name}</h1>"))
    } else {
        ("", FORM.to_owned())
    };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n{head}Content-Length: {}\r\n\
         Connection: close\r\n\r\n{page}",
        page.len()
    )?;
    Ok(())
}

const FORM: &str = "<!doctype html><title>Form</title><h1>Who is there?</h1>\
    <form method=post action=/hello><input name=name value=old><button>Say it</button></form>";

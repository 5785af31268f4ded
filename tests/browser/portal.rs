//! What people do with the portal, each in a browser of his own.

use std::time::Duration;

use crate::looks::picture;
use crate::site::{PASSWORD, Site};
use crate::webdriver::{Browser, Failure};

#[test]
fn sessions_are_seen_and_ended_from_another_browser() -> Result<(), Failure> {
    let site = Site::new();
    let (laptop, phone) = (Browser::open()?, Browser::open()?);

    laptop.goto(&site.url)?;
    assert_eq!(laptop.url()?, format!("{}/login", site.url));
    picture(&laptop, "1-sign-in")?;
    enter(&laptop, "alice", "wrong")?;
    assert_eq!(laptop.text("#refused")?, "That user name or password is wrong.");
    picture(&laptop, "2-sign-in-refused")?;
    again(&laptop, "alice")?;
    assert_eq!(laptop.text("#state")?, "active");
    assert!(laptop.text("#idle-deadline")?.starts_with("in 30m"));

    let note = "Call <b>Zo\u{eb}</b> & \"co\"\n</textarea><script>document.title='x'</script>";
    laptop.find("#note")?.type_text(note)?;
    laptop.find("form[action='/note'] button")?.click()?;
    assert_eq!(laptop.text(".notice")?, "Your note is saved.");
    assert_eq!(laptop.text("#note")?, note);
    picture(&laptop, "3-home")?;
    laptop.find("option[value=de]")?.click()?;
    laptop.find("#tz")?.type_text("Europe/Berlin")?;
    laptop.find("form[action='/preferences'] button")?.click()?;
    assert_eq!(laptop.text("h1")?, "Guten Tag, alice!");
    assert!(laptop.text("#idle-deadline")?.ends_with("CET"));
    assert_eq!(laptop.text("#note")?, note, "the other form's edit is still there");
    picture(&laptop, "4-home-in-german")?;

    sign_in(&phone, &site, "alice")?;
    site.clock.advance(Duration::from_secs(90));
    laptop.goto(&format!("{}/devices", site.url))?;
    picture(&laptop, "5-devices")?;
    // The laptop's own comes first.
    laptop.find("ul.devices li:nth-child(2) button")?.click()?;
    assert_eq!(laptop.text(".notice")?, "Das Ger\u{e4}t ist abgemeldet.");
    phone.find("a[href='/devices']")?.click()?;
    assert_eq!(phone.url()?, format!("{}/login", site.url));
    assert!(phone.text("#reason")?.starts_with("Ended from another device"));
    picture(&phone, "6-ended-from-another-device")?;

    again(&phone, "alice")?;
    laptop.find("a[href='/devices']")?.click()?;
    laptop.find("form[action='/devices/end-others'] button")?.click()?;
    assert_eq!(laptop.text(".notice")?, "Alle anderen Ger\u{e4}te sind abgemeldet.");
    phone.find("a[href='/']")?.click()?;
    assert!(phone.text("#reason")?.starts_with("Ended from another device"));

    again(&phone, "alice")?;
    phone.find("form[action='/logout'] button")?.click()?;
    assert!(phone.text("#reason")?.starts_with("Signed out"));
    picture(&phone, "7-signed-out")?;
    assert!(phone.cookies()?.iter().all(|cookie| cookie["name"] != "id"));
    Ok(())
}

#[test]
fn an_administrator_sees_and_ends_everyone() -> Result<(), Failure> {
    let site = Site::new();
    let (office, home) = (Browser::open()?, Browser::open()?);
    sign_in(&home, &site, "bob")?;
    home.find("form[action='/logout'] button")?.click()?;
    sign_in(&home, &site, "bob")?;
    site.clock.advance(Duration::from_secs(15 * 60));
    sign_in(&office, &site, "root")?;

    office.find("a[href='/sessions']")?.click()?;
    assert!(office.text("#count")?.starts_with("2 shown"));
    office.find("option[value=all]")?.click()?;
    office.find("form.filter button")?.click()?;
    assert!(office.text("#count")?.starts_with("3 shown"));
    picture(&office, "8-sessions")?;
    office.find("#idle-for")?.type_text("10m")?;
    office.find("option[value=live]")?.click()?;
    office.find("form.filter button")?.click()?;
    assert!(office.text("#count")?.starts_with("1 shown"));
    office.find("tr[data-state=active] button")?.click()?;
    assert_eq!(office.text(".notice")?, "The session has ended.");
    home.goto(&site.url)?;
    assert!(home.text("#reason")?.contains("It was done by root."));

    again(&home, "bob")?;
    office.find("#end-user")?.type_text("bob")?;
    office.find("form[action='/sessions/end-user'] button")?.click()?;
    assert_eq!(office.text(".notice")?, "All sessions of that user have ended.");
    home.find("a[href='/devices']")?.click()?;
    assert!(home.text("#reason")?.starts_with("Ended by an administrator"));
    picture(&home, "11-ended-by-an-administrator")?;
    office.find("#user-filter")?.type_text("bob")?;
    office.find("option[value=revoked]")?.click()?;
    office.find("form.filter button")?.click()?;
    assert!(office.text("#count")?.starts_with("3 shown"));

    again(&home, "bob")?;
    office.find("summary")?.click()?;
    office.find("#end-all")?.click()?;
    assert!(office.text("#reason")?.starts_with("Everyone was signed out"));
    picture(&office, "9-everyone-signed-out")?;
    home.goto(&site.url)?;
    assert!(home.text("#reason")?.starts_with("Everyone was signed out"));

    again(&home, "bob")?;
    site.clock.advance(Duration::from_secs(3_600));
    home.goto(&site.url)?;
    assert!(home.text("#reason")?.starts_with("Signed out after inactivity"));
    home.goto(&format!("{}/nowhere", site.url))?;
    picture(&home, "10-not-found")?;
    Ok(())
}

pub(crate) fn sign_in(browser: &Browser, site: &Site, user: &str) -> Result<(), Failure> {
    browser.goto(&format!("{}/login", site.url))?;
    again(browser, user)
}

/// Signs in where the sign-in page is shown already.
pub(crate) fn again(browser: &Browser, user: &str) -> Result<(), Failure> {
    enter(browser, user, PASSWORD)?;
    assert_eq!(browser.text("#user")?, user);
    assert_eq!(browser.text("h1")?, format!("Hello, {user}!"));
    Ok(())
}

pub(crate) fn enter(browser: &Browser, user: &str, password: &str) -> Result<(), Failure> {
    browser.find("#username")?.type_text(user)?;
    browser.find("#password")?.type_text(password)?;
    browser.find("form[action='/login'] button")?.click()
}

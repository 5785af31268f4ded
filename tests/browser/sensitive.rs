//! What asks for the password again, and what an administrator sees of it, each in a browser of his own.

use std::sync::Arc;
use std::time::Duration;

use session_engine::{MemoryStore, Policy};

use crate::looks::picture;
use crate::portal::{again, enter, sign_in};
use crate::site::{PASSWORD, Site};
use crate::webdriver::{Browser, Failure};

const NEW: &str = "a battery that staples horses";

#[test]
fn a_password_is_changed_and_the_other_browser_is_told() -> Result<(), Failure> {
    let site = Site::new();
    let (laptop, phone) = (Browser::open()?, Browser::open()?);
    phone.goto(&format!("{}/login", site.url))?;
    phone.find("label[for=remember]")?.click()?;
    again(&phone, "alice")?;
    assert!(phone.text("#idle-deadline")?.starts_with("in 14days"));
    let kept = |cookie: &serde_json::Value| cookie["name"] == "id" && cookie["expiry"].is_number();
    assert!(phone.cookies()?.iter().any(kept), "it outlives the browser");

    sign_in(&laptop, &site, "alice")?;
    laptop.find("main a[href='/password']")?.click()?;
    picture(&laptop, "12-password")?;
    change(&laptop, "not the old password", NEW)?;
    assert_eq!(laptop.text("#refused")?, "That user name or password is wrong.");
    picture(&laptop, "13-password-refused")?;
    change(&laptop, PASSWORD, NEW)?;
    assert!(laptop.text(".notice")?.starts_with("Your password is changed."));
    // The session goes on, and so do the forms of its pages.
    laptop.find("#note")?.type_text("still here")?;
    laptop.find("form[action='/note'] button")?.click()?;
    assert_eq!(laptop.text(".notice")?, "Your note is saved.");

    phone.find("a[href='/devices']")?.click()?;
    assert!(phone.text("#reason")?.starts_with("Password changed"));
    picture(&phone, "14-password-changed-elsewhere")?;
    enter(&phone, "alice", PASSWORD)?;
    assert_eq!(phone.text("#refused")?, "That user name or password is wrong.");
    enter(&phone, "alice", NEW)?;
    assert_eq!(phone.text("h1")?, "Hello, alice!");
    phone.find("a[href='/history']")?.click()?;
    assert_eq!(phone.text("h1")?, "History");
    picture(&phone, "15-history")?;
    Ok(())
}

#[test]
fn the_finance_area_asks_for_the_password_again() -> Result<(), Failure> {
    const FILE: &str = include_str!("../../examples/portal/policy.toml");
    let site = Site::on(Arc::new(MemoryStore::new()), Policy::from_toml(FILE)?);
    let laptop = Browser::open()?;
    sign_in(&laptop, &site, "alice")?;
    laptop.find("a[href='/finance']")?.click()?;
    assert_eq!(laptop.url()?, format!("{}/finance/unlock", site.url));
    assert!(laptop.text(".why")?.starts_with("You have not opened this area"));
    picture(&laptop, "16-finance-locked")?;
    unlock(&laptop, "wrong")?;
    assert_eq!(laptop.text("#refused")?, "That user name or password is wrong.");
    unlock(&laptop, PASSWORD)?;
    assert_eq!(laptop.url()?, format!("{}/finance", site.url));
    assert!(laptop.text("#scope-idle-deadline")?.starts_with("in 5m"));
    assert!(laptop.text("#scope-absolute-deadline")?.starts_with("in 30m"));
    picture(&laptop, "17-finance")?;

    site.clock.advance(Duration::from_secs(6 * 60));
    laptop.find("a[href='/finance']")?.click()?;
    assert!(laptop.text(".why")?.starts_with("You have not used this area for too long."));
    picture(&laptop, "18-finance-closed")?;
    laptop.find("a[href='/']")?.click()?;
    assert_eq!(laptop.text("h1")?, "Hello, alice!", "the session goes on");
    laptop.find("a[href='/devices']")?.click()?;
    assert!(laptop.text("#room")?.contains("1 of at most 10"));
    picture(&laptop, "19-devices-with-a-limit")?;
    laptop.find("a[href='/finance']")?.click()?;
    unlock(&laptop, PASSWORD)?;
    assert!(laptop.text("#scope-idle-deadline")?.starts_with("in 5m"));
    Ok(())
}

#[test]
fn an_administrator_changes_accounts_and_reads_the_audit() -> Result<(), Failure> {
    let site = Site::new();
    let (office, home) = (Browser::open()?, Browser::open()?);
    sign_in(&home, &site, "bob")?;
    sign_in(&office, &site, "root")?;
    office.find("a[href='/users']")?.click()?;
    office.find("tr[data-user=bob] button[name=role]")?.click()?;
    assert!(office.text(".notice")?.starts_with("The role is changed."));
    home.find("a[href='/devices']")?.click()?;
    assert!(home.text("#reason")?.starts_with("Permissions changed"));
    again(&home, "bob")?;
    home.find("a[href='/users']")?.click()?;
    assert_eq!(home.text("h1")?, "Users");
    office.find("tr[data-user=bob] button[name=state]")?.click()?;
    assert!(office.text(".notice")?.starts_with("The account is disabled."));
    picture(&office, "20-users")?;
    home.find("a[href='/']")?.click()?;
    assert!(home.text("#reason")?.starts_with("Account closed"));
    enter(&home, "bob", PASSWORD)?;
    assert_eq!(home.text("#refused")?, "That user name or password is wrong.");

    office.find("a[href='/audit']")?.click()?;
    picture(&office, "21-audit")?;
    office.find("#user-filter")?.type_text("bob")?;
    office.find("option[value=subject_revoked]")?.click()?;
    office.find("form.filter button")?.click()?;
    assert!(office.text("#count")?.starts_with("2 shown"));
    assert!(office.text("tr[data-event]")?.contains("operator:root"));
    Ok(())
}

fn change(browser: &Browser, old: &str, new: &str) -> Result<(), Failure> {
    browser.find("#old")?.type_text(old)?;
    browser.find("#new")?.type_text(new)?;
    browser.find("#again")?.type_text(new)?;
    browser.find("form[action='/password'] button")?.click()
}

fn unlock(browser: &Browser, password: &str) -> Result<(), Failure> {
    browser.find("#password")?.type_text(password)?;
    browser.find("form[action='/finance/unlock'] button")?.click()
}

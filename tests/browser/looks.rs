//! Pictures of a page for a person to look at: wide and narrow, light and dark.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::webdriver::{Browser, Failure};

/// Writes four pictures of the whole page that a browser shows, and checks that nothing of it is wider than
/// the screen.
pub(crate) fn picture(browser: &Browser, name: &str) -> Result<(), Failure> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("portal");
    std::fs::create_dir_all(&directory)?;
    browser.devtools("Emulation.setScrollbarsHidden", &json!({ "hidden": true }))?;
    for (size, width, height) in [("wide", 1_200, 800), ("narrow", 390, 844)] {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        browser.devtools("Emulation.setDeviceMetricsOverride", &metrics)?;
        for scheme in ["light", "dark"] {
            let feature = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
            browser.devtools("Emulation.setEmulatedMedia", &json!({ "features": feature }))?;
            let whole = json!({ "format": "png", "captureBeyondViewport": true });
            let answer = browser.devtools("Page.captureScreenshot", &whole)?;
            let image = STANDARD.decode(answer["data"].as_str().ok_or("no picture")?)?;
            std::fs::write(directory.join(format!("{name}-{size}-{scheme}.png")), image)?;
        }
        let layout = browser.devtools("Page.getLayoutMetrics", &json!({}))?;
        let content = layout["cssContentSize"]["width"].as_f64().ok_or("no width")?;
        assert!(content <= f64::from(width), "{name} is {content} pixels wide on {width}");
    }
    browser.devtools("Emulation.clearDeviceMetricsOverride", &json!({}))?;
    Ok(())
}

//! The data of a session.

use super::bed::{Bed, replacement};
use crate::{DataLimits, DataWrite, EncodedData, Replacement};

/// A replacement keeps, sets or drops the data, as it says.
pub async fn a_replacement_keeps_sets_and_drops(bed: &Bed) {
    let text = |text: &str| EncodedData::from_stored(text);
    for first in [None, Some(text(r#"{"n":1}"#)), Some(text("{}"))] {
        let record = bed.inserted_with(bed.record(None), first.clone()).await;
        let set = text(r#"{"n":2,"m":[]}"#);
        for (write, expected) in [
            (DataWrite::Keep, first.clone()),
            (DataWrite::Set(set.clone()), Some(set.clone())),
            (DataWrite::Keep, Some(set.clone())),
            (DataWrite::Drop, None),
            (DataWrite::Keep, None),
            (DataWrite::Drop, None),
            (DataWrite::Set(text("{}")), Some(text("{}"))),
        ] {
            let stored = bed.load(record.id).await;
            let what = format!("{write:?}");
            let write = Replacement { data: write, ..replacement(&stored) };
            bed.apply(&bed.change().replace(write)).await;
            let after = bed.load(record.id).await;
            assert_eq!(after.data, expected, "{what} does what it says");
            assert_eq!(after.version, stored.version + 1, "and moves the version");
        }
    }
}

/// The most data that a policy may allow comes back exactly.
pub async fn large_data_comes_back(bed: &Bed) {
    let filled = |filler: &str| {
        let room = DataLimits::MAX_TOTAL - r#"{"k":""}"#.len();
        let mut text = String::from(r#"{"k":""#);
        text.push_str(&filler.repeat(room / filler.len()));
        text.push_str(&"x".repeat(room % filler.len()));
        text.push_str(r#""}"#);
        assert_eq!(text.len(), DataLimits::MAX_TOTAL);
        EncodedData::from_stored(text)
    };
    let (plain, wide) = (filled("x"), filled("\u{1f511}"));
    let record = bed.inserted_with(bed.record(None), Some(plain.clone())).await;
    // A failed assertion would print a megabyte: only the sizes are shown.
    assert!(bed.load(record.id).await.data == Some(plain), "a megabyte is inserted exactly");
    let stored = bed.load(record.id).await;
    let write = Replacement { data: DataWrite::Set(wide.clone()), ..replacement(&stored) };
    bed.apply(&bed.change().replace(write)).await;
    assert!(bed.load(record.id).await.data == Some(wide), "a megabyte is replaced exactly");
}

/// Data is text that nobody parses: whatever JSON can say comes back byte for byte.
pub async fn hostile_data_comes_back(bed: &Bed) {
    for text in [
        "{\"nul\":\"\\u0000\"}",
        "{\"\\u0000\":\"\\ud83d\\ude00 \\ud800\"}",
        "{\"quotes\":\"' \\\" ` \\\\ \\\\' ; DROP TABLE session; --\"}",
        "{\"rtl\":\"\u{202e}\u{5d0}\u{627}\",\"bom\":\"\u{feff}\",\"line\":\"\u{2028}\"}",
        "{\"nfc\":\"\u{e9}\",\"nfd\":\"e\u{301}\",\"far\":\"\u{10ffff}\u{ffff}\"}",
        "{\"n\":1e400,\"m\":123456789012345678901234567890.10,\"z\":-0.0}",
        "{ \"spaces\" :  1 ,\n\t\"twice\":1,\"twice\":2 }",
        "{\"$1\":\"?1 :name @x %s {}\",\"\":null}",
        "{\"\u{1}\":\"\u{7f}\u{85}\"}",
    ] {
        let data = EncodedData::from_stored(text);
        let record = bed.inserted_with(bed.record(None), Some(data.clone())).await;
        let stored = bed.load(record.id).await;
        assert_eq!(stored.data.as_ref().map(EncodedData::as_str), Some(text), "byte for byte");
        let write = Replacement { data: DataWrite::Set(data), ..replacement(&stored) };
        bed.apply(&bed.change().replace(write)).await;
        let again = bed.load(record.id).await.data;
        assert_eq!(again.as_ref().map(EncodedData::as_str), Some(text), "byte for byte");
    }
}

/// Scans do not read data.
pub async fn scans_carry_no_data(bed: &Bed) {
    let data = EncodedData::from_stored(r#"{"n":1}"#);
    let record = bed.inserted_with(bed.record(None), Some(data)).await;
    let listed = bed.list_all(&crate::store::ListQuery::default()).await;
    let due = bed.due_all(record.due_at, 10).await;
    assert_eq!((listed.len(), due.len()), (1, 1));
    assert!(listed.iter().chain(&due).all(|stored| stored.data.is_none()), "without their data");
}

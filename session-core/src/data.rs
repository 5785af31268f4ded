//! What an application keeps in a session: keys and JSON values, and edits of them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The data of a session: a map of keys to JSON values.
///
/// ```
/// use session_core::Data;
///
/// let mut data = Data::default();
/// data.set("language", "de").unwrap();
/// assert_eq!(data.get::<String>("language").unwrap().as_deref(), Some("de"));
/// assert_eq!(data.get::<String>("time_zone").unwrap(), None);
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct Data {
    values: BTreeMap<String, Value>,
}

/// The keys only: an application keeps private things in a session.
impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Data").field(&self.values.keys()).finish()
    }
}

impl Data {
    /// The value of a key, or `None` if the session has no such key.
    ///
    /// # Errors
    /// The value is not of this type.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, DataError> {
        self.values
            .get(key)
            .map(|value| T::deserialize(value))
            .transpose()
            .map_err(|error| DataError::Value { key: key.to_owned(), source: error.into() })
    }

    /// Gives a key a value, in place of the one that it may have had.
    ///
    /// # Errors
    /// The value is nothing that JSON can say.
    pub fn set(&mut self, key: &str, value: impl Serialize) -> Result<(), DataError> {
        let value = serde_json::to_value(value)
            .map_err(|error| DataError::Value { key: key.to_owned(), source: error.into() })?;
        self.values.insert(key.to_owned(), value);
        Ok(())
    }

    /// Takes a key away and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.values.remove(key)
    }

    /// The keys and their values, in order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Only these keys.
    pub(crate) fn only(mut self, keys: &[String]) -> Self {
        self.values.retain(|key, _| keys.contains(key));
        self
    }

    /// And these keys, in place of those that it may have had.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.values.extend(other.values.iter().map(|(key, value)| (key.clone(), value.clone())));
    }

    /// The data as a store keeps it.
    ///
    /// # Errors
    /// A key or a value is larger than the limits allow, or all together are, or a value is nested deeper than
    /// [`DataLimits::MAX_DEPTH`]; the error names the key.
    pub fn encode(&self, limits: &DataLimits) -> Result<EncodedData, DataError> {
        for (key, value) in &self.values {
            if key.len() > limits.key {
                return Err(DataError::KeyTooLong {
                    key: key.chars().take(32).collect(),
                    length: key.len(),
                    limit: limits.key,
                });
            }
            if deeper_than(DataLimits::MAX_DEPTH - 1, value) {
                let limit = DataLimits::MAX_DEPTH;
                return Err(DataError::TooDeep { key: key.clone(), limit });
            }
            let length = json(value).len();
            if length > limits.value {
                let limit = limits.value;
                return Err(DataError::ValueTooLarge { key: key.clone(), length, limit });
            }
        }
        let text = json(&self.values);
        if text.len() > limits.total {
            return Err(DataError::TooLarge { length: text.len(), limit: limits.total });
        }
        Ok(EncodedData(text.into_boxed_str()))
    }
}

/// Whether lists and objects are nested in more levels than these. It looks no deeper.
fn deeper_than(levels: usize, value: &Value) -> bool {
    let Some(within) = levels.checked_sub(1) else {
        return value.is_array() || value.is_object();
    };
    match value {
        Value::Array(list) => list.iter().any(|value| deeper_than(within, value)),
        Value::Object(map) => map.values().any(|value| deeper_than(within, value)),
        _ => false,
    }
}

/// Writing JSON values into memory cannot fail: their keys are strings and their numbers finite.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A set of edits, key by key.
///
/// Edits to different keys never conflict: the engine applies them to the newest data, again and again until
/// nobody else has written in between.
///
/// ```
/// use session_core::{ChangeSet, Data};
///
/// let edits = ChangeSet::new().set("note", "call back").unwrap().remove("draft");
/// let mut data = Data::default();
/// edits.apply(&mut data);
/// assert_eq!(data.iter().count(), 1);
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct ChangeSet {
    edits: BTreeMap<String, Option<Value>>,
}

/// The keys only: an application keeps private things in a session.
impl fmt::Debug for ChangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ChangeSet").field(&self.edits.keys()).finish()
    }
}

impl ChangeSet {
    /// No edits.
    pub fn new() -> Self {
        Self::default()
    }

    /// And gives a key a value.
    ///
    /// # Errors
    /// The value is nothing that JSON can say.
    pub fn set(mut self, key: &str, value: impl Serialize) -> Result<Self, DataError> {
        let value = serde_json::to_value(value)
            .map_err(|error| DataError::Value { key: key.to_owned(), source: error.into() })?;
        self.edits.insert(key.to_owned(), Some(value));
        Ok(self)
    }

    /// And takes a key away.
    #[must_use]
    pub fn remove(mut self, key: &str) -> Self {
        self.edits.insert(key.to_owned(), None);
        self
    }

    /// Whether there is no edit.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Carries the edits out.
    pub fn apply(&self, data: &mut Data) {
        for (key, edit) in &self.edits {
            match edit {
                Some(value) => data.values.insert(key.clone(), value.clone()),
                None => data.values.remove(key),
            };
        }
    }
}

/// Data as a store keeps it: the text of a JSON object. It is decoded only when somebody asks.
///
/// ```
/// use session_core::{Data, DataLimits, EncodedData};
///
/// let mut data = Data::default();
/// data.set("n", 1).unwrap();
/// let encoded = data.encode(&DataLimits::default()).unwrap();
/// assert_eq!(encoded.as_str(), r#"{"n":1}"#);
/// assert_eq!(EncodedData::from_stored(r#"{"n":1}"#).decode().unwrap(), data);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct EncodedData(Box<str>);

impl EncodedData {
    /// Data as a store has kept it. It is checked when it is decoded.
    pub fn from_stored(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text to store.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The keys and values.
    ///
    /// # Errors
    /// The text is not that of a JSON object.
    pub fn decode(&self) -> Result<Data, DataError> {
        serde_json::from_str(&self.0)
            .map(|values| Data { values })
            .map_err(|error| DataError::Corrupt { source: error.into() })
    }
}

/// The size only: an application keeps private things in a session.
impl fmt::Debug for EncodedData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncodedData({} bytes)", self.0.len())
    }
}

/// How much data a session may hold, in bytes of JSON.
///
/// ```
/// let limits = session_core::DataLimits::default();
/// assert_eq!((limits.key, limits.value, limits.total), (128, 65_536, 262_144));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DataLimits {
    /// Of one key.
    pub key: usize,
    /// Of one value.
    pub value: usize,
    /// Of everything.
    pub total: usize,
}

impl DataLimits {
    /// The most that any store must be able to keep for a session, and that a policy may allow: 1 MiB.
    pub const MAX_TOTAL: usize = 1 << 20;

    /// The most levels of lists and objects in each other, the data itself being the first: well below what
    /// readers of JSON take, so that whatever is kept can be read.
    pub const MAX_DEPTH: usize = 64;
}

impl Default for DataLimits {
    fn default() -> Self {
        Self { key: 128, value: 64 << 10, total: 256 << 10 }
    }
}

/// Data cannot be read or kept.
///
/// ```
/// use session_core::{Data, DataError, DataLimits};
///
/// let mut data = Data::default();
/// data.set(&"k".repeat(200), 1).unwrap();
/// assert!(matches!(data.encode(&DataLimits::default()), Err(DataError::KeyTooLong { .. })));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A value is not of the type that was asked for, or of none that JSON knows.
    #[error("the value of {key:?} is not of this type")]
    Value {
        /// The key.
        key: String,
        /// What is wrong with it.
        source: JsonError,
    },
    /// A key is longer than the policy allows.
    #[error("the key {key:?}… has {length} bytes: at most {limit} are allowed")]
    KeyTooLong {
        /// Its beginning.
        key: String,
        /// The bytes that it has.
        length: usize,
        /// The bytes that it may have.
        limit: usize,
    },
    /// A value is larger than the policy allows.
    #[error("the value of {key:?} has {length} bytes of JSON: at most {limit} are allowed")]
    ValueTooLarge {
        /// The key.
        key: String,
        /// The bytes that it has.
        length: usize,
        /// The bytes that it may have.
        limit: usize,
    },
    /// A value has more lists and objects in each other than may be.
    #[error("the value of {key:?} is nested too deeply: at most {limit} levels are allowed")]
    TooDeep {
        /// The key.
        key: String,
        /// The levels that there may be, those of all data included.
        limit: usize,
    },
    /// All keys and values together are larger than the policy allows.
    #[error("the session's data has {length} bytes of JSON: at most {limit} are allowed")]
    TooLarge {
        /// The bytes that they have.
        length: usize,
        /// The bytes that they may have.
        limit: usize,
    },
    /// What the store kept is no data.
    #[error("the stored data is not a JSON object")]
    Corrupt {
        /// What is wrong with it.
        source: JsonError,
    },
}

/// What is wrong with a JSON value, without a word of the value: an application keeps private things in a
/// session, and errors go into logs.
///
/// ```
/// use session_core::{Data, DataError};
///
/// let mut data = Data::default();
/// data.set("card", "4111 1111 1111 1111").unwrap();
/// let Err(DataError::Value { source, .. }) = data.get::<u64>("card") else { panic!() };
/// assert_eq!(source.to_string(), "the JSON is not of the expected form");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError {
    category: serde_json::error::Category,
    line: usize,
    column: usize,
}

impl JsonError {
    /// The line and the column in the stored text, both from 1, if it was read from text.
    pub fn place(&self) -> Option<(usize, usize)> {
        (self.line > 0).then_some((self.line, self.column))
    }
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        Self { category: error.classify(), line: error.line(), column: error.column() }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use serde_json::error::Category;
        f.write_str(match self.category {
            Category::Data => "the JSON is not of the expected form",
            Category::Syntax => "the text is not JSON",
            Category::Eof => "the JSON is cut off",
            Category::Io => "the JSON cannot be read",
        })?;
        match self.place() {
            Some((line, column)) => write!(f, ", at line {line}, column {column}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for JsonError {}

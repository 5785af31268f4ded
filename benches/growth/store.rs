//! The stores to measure.

use std::sync::Arc;

use session_engine::SessionStore;

use crate::Failure;

pub(crate) async fn open(url: &str) -> Result<Arc<dyn SessionStore>, Failure> {
    Ok(session_engine::open(url).await?)
}

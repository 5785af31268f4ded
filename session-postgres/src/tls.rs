//! TLS: with rustls, and always with a check of the server's certificate and of its name.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use session_core::{StoreError, StoreErrorKind};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error;
use crate::options::PostgresOptions;

/// What makes connections secret.
///
/// # Errors
/// The file of the authorities cannot be read, or there is none to trust.
pub(crate) fn connector(options: &PostgresOptions) -> Result<MakeRustlsConnect, StoreError> {
    let place = &options.place();
    let roots = match &options.ca_file {
        Some(path) => of_file(place, path)?,
        None => of_system(place)?,
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|failed| invalid(place, "TLS cannot be set up").with_source(failed))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn of_file(place: &str, path: &Path) -> Result<RootCertStore, StoreError> {
    let bad =
        |what| invalid(place, format_args!("the file of authorities {}: {what}", path.display()));
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(|failed| bad("it cannot be read").with_source(failed))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|failed| bad("it is not PEM").with_source(failed))?;
        roots
            .add(certificate)
            .map_err(|failed| bad("it has no certificates").with_source(failed))?;
    }
    if roots.is_empty() { Err(bad("it has no certificates")) } else { Ok(roots) }
}

fn of_system(place: &str) -> Result<RootCertStore, StoreError> {
    let mut roots = RootCertStore::empty();
    // What the system trusts may hold old certificates that cannot be read; the others count.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(invalid(
            place,
            "the system trusts no authorities; name a file with `sslrootcert`, or switch TLS off with \
             `sslmode=disable`",
        ));
    }
    Ok(roots)
}

fn invalid(place: &str, what: impl std::fmt::Display) -> StoreError {
    error::at(StoreErrorKind::Invalid, place, what)
}

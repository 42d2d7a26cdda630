//! Every result for people: pages and terminal text. Pure: values in, text out; the caller owns the streams.
//!
//! Nothing here reads state or asks for the time, so the same release gives the same page, octet for octet, whenever it is
//! written again. Untrusted text arrives already escaped by [`crate::text::escape`]; the page lets nothing but
//! printable ASCII and line ends through, and escapes for HTML on top of it.

pub mod calendar;
mod html;
pub mod outliers;
mod page;
mod picture;
pub mod qr;
pub mod sheet;
pub mod terminal;
pub mod year;

pub use html::{
    Approval, CaRow, CertificateRow, Count, CrlRow, CsrRow, FindingRow, KeyRow, LinterRow, LogPosition, MAX_ROWS,
    RefusalRow, ReleaseReport, RevokedRow, TokenRow, TokenState, render, tally,
};

/// Why a page could not be made. Both are faults of the program, not of what it was given.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the data of the report cannot be laid out: {0}")]
    Data(#[from] serde_json::Error),
    #[error("the template of the report failed: {0}")]
    Template(#[from] minijinja::Error),
    #[error("a digest could not be drawn as a QR code: {0}")]
    Qr(#[from] qrcode::types::QrError),
}

impl Error {
    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        Some("the certificates and the log are not touched by this; report it as a fault of the program".into())
    }
}

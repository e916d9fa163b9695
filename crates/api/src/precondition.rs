//! `If-Match`, `ETag` and `Idempotency-Key`.

use http::HeaderValue;
use protector_types::{Code, GroupId};
use sha2::{Digest, Sha256};

use crate::{
    call::Call,
    error::{ApiError, ApiResult},
};

/// Longest `Idempotency-Key`.
const LONGEST_KEY: usize = 255;

/// A group's version as ETag.
pub fn etag(version: u64) -> HeaderValue {
    // Digits and quotes are always a valid header.
    HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Checks `If-Match` against the group's version; answers the version that the core must still find.
///
/// # Errors
/// 412 when none of the tags is the current one, 400 when one cannot be read.
pub fn if_match(call: &Call, current: u64) -> ApiResult<Option<u64>> {
    let Some(text) = call.header("if-match")? else { return Ok(None) };
    if text.trim() == "*" {
        return Ok(None);
    }
    let mut tags = Vec::new();
    for tag in text.split(',') {
        let tag = tag.trim();
        let digits = tag.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(tag);
        let version: u64 = digits.parse().map_err(|_| {
            ApiError::new(
                Code::RequestInvalidValue,
                format!("If-Match {tag:?} is not an ETag of a protection group: send its version in quotes, or *"),
            )
        })?;
        tags.push(version);
    }
    if tags.contains(&current) {
        return Ok(Some(current));
    }
    Err(ApiError::new(
        Code::VersionMismatch,
        format!(
            "The protection group is at version {current}, not {text}; read it again and repeat the change"
        ),
    ))
}

/// The `Idempotency-Key` with the digest of what it stands for.
///
/// # Errors
/// 400 for a key that is empty, too long or not printable.
pub fn idempotency(
    call: &Call,
    group: GroupId,
    canonical_body: &str,
) -> ApiResult<Option<(String, String)>> {
    let Some(key) = call.header("idempotency-key")? else { return Ok(None) };
    let is_printable = key.bytes().all(|b| (0x20..0x7f).contains(&b));
    if key.trim().is_empty() || key.len() > LONGEST_KEY || !is_printable {
        return Err(ApiError::new(
            Code::RequestInvalidValue,
            format!("Idempotency-Key must have 1 to {LONGEST_KEY} printable ASCII characters"),
        ));
    }
    let digest = Sha256::digest(format!("{group}\n{canonical_body}"));
    let hex = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Some((key.to_owned(), hex)))
}

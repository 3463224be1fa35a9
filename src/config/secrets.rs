//! Secrets: given as they are or in a file of their own, never shown. IO: reads the files.

use std::fs::File;
use std::io::Read;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use super::section::Section;
use crate::domain::Secret;

/// More than any secret has; a file that never ends must not be read to its end.
const FILE_LIMIT: u64 = 64 * 1024;
/// What a webhook secret begins with.
const PREFIX: &str = "whsec_";

/// Base64 with or without `=` at its end, as people copy it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes of a base64 text.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.trim()).ok()
}

impl Section<'_> {
    /// A secret, from its key or from the file that `<key>_file` names; empty when neither is
    /// given.
    pub(super) fn secret(&mut self, key: &str) -> Secret {
        let in_file = self.secret_file(key);
        let Some(value) = self.value(key) else {
            return in_file.map_or_else(Secret::default, |text| Secret::new(&text));
        };
        match value {
            Value::String(text) => Secret::new(text),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => {
                self.problem(key, "must be a text; write it in quotes");
                Secret::default()
            }
        }
    }

    /// Secrets in a list, or one a line in the file that `<key>_file` names.
    pub(super) fn secrets(&mut self, key: &str) -> Vec<Secret> {
        if let Some(text) = self.secret_file(key) {
            let _ = self.value(key);
            let lines = text.lines().map(str::trim);
            let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
            return lines.map(Secret::new).collect();
        }
        let items = self.items(key).unwrap_or_default();
        items.iter().map(|item| Secret::new(item)).collect()
    }

    /// What the file holds that `<key>_file` names, where it does.
    fn secret_file(&mut self, key: &str) -> Option<String> {
        let file_key = format!("{key}_file");
        let path = self.text(&file_key)?;
        if self.value(key).is_some() {
            let here = self.path(key);
            self.problem(
                &file_key,
                format!("{here} is given as well; keep one of the two"),
            );
            return None;
        }
        match read(&path) {
            Ok(text) => Some(text),
            Err(why) => {
                self.problem(&file_key, format!("cannot read {path}: {why}"));
                None
            }
        }
    }
}

/// A file's text; why not, otherwise.
fn read(path: &str) -> Result<String, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    let read = file.take(FILE_LIMIT + 1).read_to_string(&mut text);
    let length = read.map_err(|error| error.to_string())?;
    if u64::try_from(length).unwrap_or(u64::MAX) > FILE_LIMIT {
        return Err("it is longer than 64 KiB and so no secret".to_owned());
    }
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(text)
}

/// What is wrong with a webhook secret, if anything; without the secret.
pub(super) fn webhook_secret_problem(secret: &Secret) -> Option<String> {
    let text = secret.reveal();
    if text.is_empty() {
        return Some("is empty".to_owned());
    }
    let Some(bytes) = decoded(text.strip_prefix(PREFIX).unwrap_or(text)) else {
        return Some("is not whsec_ and base64".to_owned());
    };
    (!(24..=64).contains(&bytes.len()))
        .then(|| format!("has {} bytes; 24 to 64 are accepted", bytes.len()))
}

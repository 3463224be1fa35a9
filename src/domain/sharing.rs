//! What processes that serve one store must have in common, and whose key sealed what it holds.
//! Pure.
//!
//! Two processes with different settings would take turns at the same service: one buys in the
//! sandbox and the other cancels for real. What may differ for a while during a change that is
//! rolled out – the catalogue, the suppliers' keys, sources – is not among it.

use serde_json::{Map, Value};

use super::vault::Vault;

/// Settings by their keys, as they are compared. No secret is among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreement(Map<String, Value>);

impl Agreement {
    /// One more setting that must be the same.
    #[must_use]
    pub fn on(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.insert(key.to_owned(), Value::String(value.into()));
        self
    }

    /// As it is stored.
    pub fn to_text(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }

    /// The first setting that differs from what another process wrote down, in words. What only one
    /// of them knows says nothing: they are of different versions.
    pub fn differs_from(&self, other: &str) -> Option<String> {
        let other: Map<String, Value> = serde_json::from_str(other).unwrap_or_default();
        self.0.iter().find_map(|(key, own)| {
            let theirs = other.get(key).filter(|theirs| *theirs != own)?;
            Some(if key == KEY {
                format!("{key} is another one")
            } else {
                format!("{key} is {own} here and {theirs} there")
            })
        })
    }
}

/// The key's name in the settings.
pub const KEY: &str = "admin.encryption_key";

/// Whether a customer's row holds something sealed, and if so whether it opens.
pub fn opens(vault: &Vault, source: &str, customer_id: &str, doc: &Value) -> Option<bool> {
    let doc = doc.as_object()?;
    let mut sealed = doc.iter().filter_map(|(name, value)| {
        let value = value.as_str()?;
        let context = if name == "hivelocity_token" {
            format!("{name}:{source}:{customer_id}")
        } else if name.starts_with("one_h_password:") {
            name.clone()
        } else {
            return None;
        };
        Some(vault.open(&context, value).is_ok())
    });
    let first = sealed.next()?;
    Some(first || sealed.any(|opens| opens))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::entropy::Entropy;
    use crate::domain::secret::Secret;

    struct Stuck;

    impl Entropy for Stuck {
        fn next(&self) -> u64 {
            7
        }
    }

    #[test]
    fn the_setting_that_differs_is_named_and_a_key_is_not_shown() {
        let own = Agreement::default()
            .on("policy.dry_run", "true")
            .on(KEY, "abc");
        assert_eq!(own.differs_from(&own.to_text()), None);
        let other = Agreement::default().on("policy.dry_run", "false");
        assert_eq!(
            own.differs_from(&other.to_text()).unwrap(),
            "policy.dry_run is \"true\" here and \"false\" there"
        );
        let other = Agreement::default().on(KEY, "def").on("new", "x");
        assert_eq!(
            own.differs_from(&other.to_text()).unwrap(),
            "admin.encryption_key is another one"
        );
        assert_eq!(own.differs_from("{}"), None);
    }

    #[test]
    fn what_is_sealed_tells_whose_key_it_was() {
        let (own, other) = (Vault::new([1; 32]), Vault::new([2; 32]));
        let secret = Secret::new("s");
        let token = own.seal(&Stuck, "hivelocity_token:whmcs:77", &secret);
        let password = own.seal(&Stuck, "one_h_password:bh1", &secret);
        let doc = json!({"email": "a@b.c", "hivelocity_token": token});
        assert_eq!(opens(&own, "whmcs", "77", &doc), Some(true));
        assert_eq!(opens(&other, "whmcs", "77", &doc), Some(false));
        assert_eq!(opens(&own, "whmcs", "78", &doc), Some(false));
        let doc = json!({"one_h_password:bh1": password});
        assert_eq!(opens(&own, "any", "1", &doc), Some(true));
        assert_eq!(opens(&own, "any", "1", &json!({"name": "v1:x"})), None);
    }
}

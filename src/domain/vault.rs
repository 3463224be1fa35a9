//! Secrets at rest: sealing, opening and deriving under the configured key.
//!
//! Pure. Not where secrets are stored, and not how the key is read. What is sealed is bound to
//! a context text, so that one customer's sealed text cannot be put in another's place.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::entropy::Entropy;
use super::secret::Secret;

const FORM: &str = "v1:";
const NONCE_BYTES: usize = 24;
const PASSWORD_LENGTH: usize = 24;
const LETTERS_AND_DIGITS: &[u8; 62] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Why a sealed text cannot be opened.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum SealBroken {
    /// Not a text that was sealed here.
    #[error("the sealed text has an unknown form; it was not written by this program")]
    Form,
    /// Another key, another context, or a changed text.
    #[error(
        "the sealed text does not open under admin.encryption_key; \
         was the key changed, or the row copied from elsewhere?"
    )]
    Mismatch,
}

/// Seals, opens and derives; made once from `admin.encryption_key`.
#[derive(Clone)]
pub struct Vault {
    cipher: XChaCha20Poly1305,
    nonces: [u8; 32],
    passwords: [u8; 32],
    fingerprint: [u8; 32],
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault([redacted])")
    }
}

impl Vault {
    /// Takes the key; each use gets its own one, derived from it.
    pub fn new(key: [u8; 32]) -> Self {
        let sealing = digest(&key, &[b"billhook sealing"]);
        Self {
            cipher: XChaCha20Poly1305::new(&sealing.into()),
            nonces: digest(&key, &[b"billhook nonces"]),
            passwords: digest(&key, &[b"billhook passwords"]),
            fingerprint: digest(&key, &[b"billhook fingerprint"]),
        }
    }

    /// A text that only this key makes: by it two keys are compared, and neither is shown.
    pub fn fingerprint(&self) -> String {
        hex::encode(self.fingerprint)
    }

    /// Encrypts a secret for one context.
    pub fn seal(&self, entropy: &dyn Entropy, context: &str, secret: &Secret) -> String {
        let nonce = self.nonce(entropy, context, secret);
        let payload = Payload {
            msg: secret.reveal().as_bytes(),
            aad: context.as_bytes(),
        };
        // Encrypting fails only beyond 256 GiB; an empty box would then simply not open.
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .unwrap_or_default();
        let mut bytes = nonce.to_vec();
        bytes.extend_from_slice(&sealed);
        format!("{FORM}{}", STANDARD_NO_PAD.encode(bytes))
    }

    /// Decrypts what was sealed for the same context.
    pub fn open(&self, context: &str, sealed: &str) -> Result<Secret, SealBroken> {
        let text = sealed.strip_prefix(FORM).ok_or(SealBroken::Form)?;
        let bytes = STANDARD_NO_PAD.decode(text).map_err(|_| SealBroken::Form)?;
        let (nonce, sealed) = bytes
            .split_at_checked(NONCE_BYTES)
            .ok_or(SealBroken::Form)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| SealBroken::Form)?;
        let payload = Payload {
            msg: sealed,
            aad: context.as_bytes(),
        };
        let plain = self
            .cipher
            .decrypt(&XNonce::from(nonce), payload)
            .map_err(|_| SealBroken::Mismatch)?;
        let text = String::from_utf8(plain).map_err(|_| SealBroken::Mismatch)?;
        Ok(Secret::new(&text))
    }

    /// The password that belongs to a context: always the same one, so that a repeated attempt
    /// sends the password of the first. Letters and digits only, at least one of each class.
    pub fn derive(&self, context: &str) -> Secret {
        let mut password = String::new();
        // One draw in some fifty lacks a class; so many draws in a row without luck do not happen.
        for round in 0..=u8::MAX {
            password = self.draw(context, round);
            if has_each_class(&password) {
                break;
            }
        }
        Secret::new(&password)
    }

    fn draw(&self, context: &str, round: u8) -> String {
        let mut password = String::with_capacity(PASSWORD_LENGTH);
        for block in 0..=u8::MAX {
            for byte in digest(&self.passwords, &[&[round, block], context.as_bytes()]) {
                // 248 is four times 62: what is above would make some letters likelier.
                let place = usize::from(byte % 62);
                if let Some(letter) = LETTERS_AND_DIGITS.get(place).filter(|_| byte < 248)
                    && password.len() < PASSWORD_LENGTH
                {
                    password.push(char::from(*letter));
                }
            }
            if password.len() == PASSWORD_LENGTH {
                break;
            }
        }
        password
    }

    /// Random, and different for each text even where the randomness repeats itself.
    fn nonce(&self, entropy: &dyn Entropy, context: &str, secret: &Secret) -> [u8; NONCE_BYTES] {
        let random: Vec<u8> = (0..3).flat_map(|_| entropy.next().to_le_bytes()).collect();
        let length = context.len().to_le_bytes();
        let parts = [
            &random[..],
            &length,
            context.as_bytes(),
            secret.reveal().as_bytes(),
        ];
        let mut nonce = [0; NONCE_BYTES];
        for (place, byte) in nonce.iter_mut().zip(digest(&self.nonces, &parts)) {
            *place = byte;
        }
        nonce
    }
}

fn has_each_class(password: &str) -> bool {
    let any = |class: fn(&u8) -> bool| password.as_bytes().iter().any(class);
    any(u8::is_ascii_uppercase) && any(u8::is_ascii_lowercase) && any(u8::is_ascii_digit)
}

fn digest(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC fills a short key up with zeros to the block's 64 bytes; so given, it cannot fail.
    let mut block = [0_u8; 64];
    for (place, byte) in block.iter_mut().zip(key) {
        *place = *byte;
    }
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new(&block.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    struct Counting(AtomicU64);

    impl Entropy for Counting {
        fn next(&self) -> u64 {
            self.0.fetch_add(1, Ordering::Relaxed)
        }
    }

    struct Stuck;

    impl Entropy for Stuck {
        fn next(&self) -> u64 {
            7
        }
    }

    fn vault() -> Vault {
        Vault::new([9; 32])
    }

    #[test]
    fn what_was_sealed_opens_for_its_context_only() {
        let entropy = Counting(AtomicU64::new(0));
        let sealed = vault().seal(&entropy, "token:a", &Secret::new("s3cret"));
        assert!(sealed.starts_with("v1:") && !sealed.contains("s3cret"));
        assert_eq!(vault().open("token:a", &sealed).unwrap().reveal(), "s3cret");
        assert_eq!(
            vault().open("token:b", &sealed).unwrap_err(),
            SealBroken::Mismatch
        );
        let other = Vault::new([8; 32]);
        assert_eq!(
            other.open("token:a", &sealed).unwrap_err(),
            SealBroken::Mismatch
        );
    }

    #[test]
    fn a_changed_or_foreign_text_does_not_open_and_does_not_panic() {
        let sealed = vault().seal(&Stuck, "c", &Secret::new("text"));
        for place in 3..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(vault().open("c", &changed).is_err(), "{place}");
        }
        for text in ["", "v1:", "v1:AAAA", "v2:AAAA", "v1:%%%", "plain"] {
            assert_eq!(
                vault().open("c", text).unwrap_err(),
                SealBroken::Form,
                "{text}"
            );
        }
    }

    #[test]
    fn a_nonce_is_never_shared_even_when_the_randomness_is_stuck() {
        let nonce = |context: &str, text: &str| {
            let sealed = vault().seal(&Stuck, context, &Secret::new(text));
            STANDARD_NO_PAD.decode(&sealed[3..]).unwrap()[..NONCE_BYTES].to_vec()
        };
        let all = [
            nonce("a", "x"),
            nonce("a", "y"),
            nonce("b", "x"),
            nonce("ax", ""),
        ];
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 4);
    }

    #[test]
    fn a_derived_password_is_stable_and_has_each_class() {
        let mut seen = HashSet::new();
        for number in 0..500 {
            let context = format!("one_h_password:bh{number}");
            let password = vault().derive(&context);
            assert_eq!(password.reveal(), vault().derive(&context).reveal());
            assert_eq!(password.reveal().len(), 24);
            assert!(
                password
                    .reveal()
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric())
            );
            assert!(has_each_class(password.reveal()));
            assert!(seen.insert(password.reveal().to_owned()));
        }
        let other = Vault::new([1; 32]);
        assert_ne!(other.derive("x").reveal(), vault().derive("x").reveal());
    }

    #[test]
    fn a_fingerprint_tells_keys_apart() {
        assert_eq!(vault().fingerprint(), vault().fingerprint());
        assert_eq!(vault().fingerprint().len(), 64);
        assert_ne!(Vault::new([1; 32]).fingerprint(), vault().fingerprint());
    }

    #[test]
    fn printing_a_vault_shows_nothing() {
        assert_eq!(format!("{:?}", vault()), "Vault([redacted])");
    }
}

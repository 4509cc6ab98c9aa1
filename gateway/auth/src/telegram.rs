//! What Telegram tells a Web App about its user (`initData`), signed with the token of the bot.
//!
//! <https://core.telegram.org/bots/webapps#validating-data-received-via-the-mini-app>

use std::time::Duration;

use aws_lc_rs::hmac;
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// The most bytes of `initData`. Those of a user with a photo and a chat have about 1 KiB.
const BYTES_MAX: usize = 4096;

/// How far Telegram's clock may be ahead of this one.
const AHEAD_MAX: Duration = Duration::from_secs(30);

/// The key of the key, as Telegram documents it.
const WEB_APP_DATA: &[u8] = b"WebAppData";

/// A bot, by its token.
pub struct TelegramBot {
    key: hmac::Key,
    /// How long after a user opened the Web App its data count.
    max_age: Duration,
}

/// Why data of a Web App are not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInitData {
    /// They are not in the form that Telegram documents.
    #[error("init_data is malformed: {0}")]
    Malformed(&'static str),
    /// Telegram did not sign them for this bot.
    #[error("init_data is not signed for this bot")]
    Signature,
    /// The user opened the Web App too long ago.
    #[error("init_data is older than {0:?}: open the Web App again")]
    TooOld(Duration),
    /// The user opened the Web App in the future.
    #[error("init_data is from the future")]
    FromTheFuture,
}

impl TelegramBot {
    /// The bot with this token.
    #[must_use]
    pub fn new(token: &str, max_age: Duration) -> Self {
        let secret = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, WEB_APP_DATA), token.as_bytes());
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref()), max_age }
    }

    /// Tells which user opened the Web App: the user's id. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// The data are not to be believed.
    pub fn user(&self, init_data: &str, now: u64) -> Result<u64, InvalidInitData> {
        if init_data.len() > BYTES_MAX {
            return Err(InvalidInitData::Malformed("it is longer than 4096 bytes"));
        }
        let mut fields = fields(init_data)?;
        fields.sort();
        if fields.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(InvalidInitData::Malformed("a field occurs twice"));
        }
        let hash = fields.iter().position(|(name, _)| name == "hash").map(|place| fields.remove(place).1);
        let hash = hash.as_deref().and_then(decode_hex).ok_or(InvalidInitData::Malformed("it has no hash"))?;
        let lines: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        // Compared in constant time.
        hmac::verify(&self.key, lines.join("\n").as_bytes(), &hash).map_err(|_| InvalidInitData::Signature)?;

        let field = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let opened = field("auth_date").and_then(|text| text.parse::<u64>().ok());
        let opened = opened.ok_or(InvalidInitData::Malformed("it has no auth_date in seconds"))?;
        if opened > now.saturating_add(AHEAD_MAX.as_secs()) {
            return Err(InvalidInitData::FromTheFuture);
        }
        if now.saturating_sub(opened) > self.max_age.as_secs() {
            return Err(InvalidInitData::TooOld(self.max_age));
        }
        let user = field("user").and_then(|text| serde_json::from_str::<Value>(text).ok());
        user.and_then(|user| user["id"].as_u64()).ok_or(InvalidInitData::Malformed("it has no user with an id"))
    }
}

impl std::fmt::Debug for TelegramBot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TelegramBot").finish_non_exhaustive()
    }
}

/// The fields of a query string, decoded.
fn fields(text: &str) -> Result<Vec<(String, String)>, InvalidInitData> {
    let decoded = |part: &str| {
        let spaced = part.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8();
        decoded.map(|text| text.into_owned()).map_err(|_| InvalidInitData::Malformed("it is not UTF-8"))
    };
    let field = |pair: &str| {
        let (name, value) = pair.split_once('=').ok_or(InvalidInitData::Malformed("a field has no value"))?;
        let (name, value) = (decoded(name)?, decoded(value)?);
        // A line feed would make two fields of one in what is signed.
        if name.contains(['\n', '=']) || value.contains('\n') {
            return Err(InvalidInitData::Malformed("a field has a line feed"));
        }
        Ok((name, value))
    };
    text.split('&').map(field).collect()
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let pairs = is_hash.then(|| text.as_bytes().chunks_exact(2))?;
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = "123456:test-token-of-a-bot";
    const NOW: u64 = 1_800_000_000;

    fn bot() -> TelegramBot {
        TelegramBot::new(TOKEN, Duration::from_secs(3600))
    }

    /// Data that are signed as Telegram does it, for the bot with this token.
    fn signed(token: &str, fields: &[(&str, &str)]) -> String {
        let mut sorted = fields.to_vec();
        sorted.sort_unstable();
        let lines: Vec<String> = sorted.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let secret = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"WebAppData"), token.as_bytes());
        let hash = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref()), lines.join("\n").as_bytes());
        let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let encoded =
            |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let pairs = fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        pairs.chain([format!("hash={hash}")]).collect::<Vec<_>>().join("&")
    }

    fn opened(at: u64) -> Vec<(&'static str, String)> {
        let user = r#"{"id":42,"first_name":"Ada & Bob","username":"ada"}"#;
        vec![("query_id", "AAE".to_owned()), ("user", user.to_owned()), ("auth_date", at.to_string())]
    }

    fn of(fields: &[(&'static str, String)]) -> String {
        signed(TOKEN, &fields.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>())
    }

    #[test]
    fn data_that_telegram_signed_tell_the_user() {
        assert_eq!(bot().user(&of(&opened(NOW)), NOW), Ok(42));
        assert_eq!(bot().user(&of(&opened(NOW)).replace("%20", "+"), NOW), Ok(42));
    }

    #[test]
    fn data_count_for_a_time() {
        for (age, expected) in [
            (3600, Ok(42)),
            (3601, Err(InvalidInitData::TooOld(Duration::from_secs(3600)))),
            (-30, Ok(42)),
            (-31, Err(InvalidInitData::FromTheFuture)),
        ] {
            assert_eq!(bot().user(&of(&opened(NOW.saturating_add_signed(-age))), NOW), expected, "{age}");
        }
    }

    #[test]
    fn data_that_were_changed_or_signed_for_another_bot_are_refused() {
        let good = of(&opened(NOW));
        assert_eq!(bot().user(&good.replace("42", "43"), NOW), Err(InvalidInitData::Signature));
        assert_eq!(bot().user(&format!("{good}&start_param=x"), NOW), Err(InvalidInitData::Signature));
        assert_eq!(bot().user(&good.replace("query%5Fid=AAE&", ""), NOW), Err(InvalidInitData::Signature));
        let foreign = signed("654321:another", &[("auth_date", "1800000000"), ("user", r#"{"id":42}"#)]);
        assert_eq!(bot().user(&foreign, NOW), Err(InvalidInitData::Signature));
        for malformed in [
            String::new(),
            "hash=".to_owned(),
            "hash".to_owned(),
            format!("hash={}", "0".repeat(63)),
            format!("{good}&hash={}", "0".repeat(64)),
            format!("{good}&user=%7B%7D"),
            "x".repeat(5000),
            of(&[("user", r#"{"id":42}"#.to_owned())]),
            of(&[("auth_date", NOW.to_string())]),
            of(&[("auth_date", NOW.to_string()), ("user", r#"{"id":"42"}"#.to_owned())]),
            of(&[("auth_date", NOW.to_string()), ("user", "no JSON".to_owned())]),
            of(&[("auth_date", format!("{NOW}\nuser={{\"id\":7}}")), ("user", "x".to_owned())]),
        ] {
            assert!(matches!(bot().user(&malformed, NOW), Err(InvalidInitData::Malformed(_))), "{malformed}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_or_lets_in(text in "(hash|user|auth_date|[a-z%&=+{}\":0-9]|\\PC){0,60}") {
            prop_assert!(bot().user(&text, NOW).is_err());
        }

        /// One byte is another, or is missing. Hexadecimal digits may be written in both cases.
        #[test]
        fn changed_data_are_refused(place in 0..400_usize, byte in proptest::option::of(0x20..0x7f_u8)) {
            let good = of(&opened(NOW));
            let mut changed = good.clone().into_bytes();
            let place = place % changed.len();
            match byte {
                Some(byte) => changed[place] = byte,
                None => _ = changed.remove(place),
            }
            let changed = String::from_utf8(changed).expect("the data are ASCII");
            prop_assert!(changed.eq_ignore_ascii_case(&good) || bot().user(&changed, NOW).is_err(), "{}", changed);
        }
    }
}

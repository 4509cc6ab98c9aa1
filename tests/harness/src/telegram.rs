//! What Telegram tells a Web App about its user.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;

/// The data of a user (`initData`) who opens the Web App now, signed for the bot with this token as Telegram
/// [documents](https://core.telegram.org/bots/webapps#validating-data-received-via-the-mini-app) it.
///
/// # Panics
/// When the clock is before 1970.
#[must_use]
pub fn telegram_init_data(bot_token: &str, user: u64) -> String {
    let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let key = sign(b"WebAppData", bot_token.as_bytes());
    let hash = sign(&key, format!("auth_date={now}\nuser={{\"id\":{user}}}").as_bytes());
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("user=%7B%22id%22%3A{user}%7D&auth_date={now}&hash={hash}")
}

//! `POST /v1/auth/telegram`: a token for the user of a Telegram Web App.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use dormouse_auth::{OwnTokens, TelegramBot};
use metrics::counter;
use serde::Deserialize;
use serde_json::json;

use super::address::Parameters;
use super::audit::Asked;
use super::envelope::Arrival;
use super::problem::{self, Problem};
use super::{Api, access, admin, json};
use crate::callers::TelegramSubjects;
use crate::metric;

/// What it takes to make a token of what Telegram says.
#[derive(Debug)]
pub(crate) struct TelegramLogin {
    pub(crate) bot: TelegramBot,
    pub(crate) tokens: Arc<OwnTokens>,
    pub(crate) subjects: TelegramSubjects,
    /// The roles of all users.
    pub(crate) roles: Vec<String>,
    pub(crate) token_lifetime: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    init_data: String,
}

pub(super) async fn login(
    State(api): State<Arc<Api>>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let Some(TelegramLogin { bot, tokens, subjects, roles, token_lifetime }) = &api.telegram else {
        let detail = "the server knows no bot: its operator sets auth.token_key and auth.telegram.bot_token";
        return Err(Problem::new(&problem::NO_TELEGRAM_BOT, detail));
    };
    api.rates.count_attempt(arrival.client)?;
    let asked = Asked::in_request(&request);
    let Login { init_data } = admin::parse_body(&api, request).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let user = bot.user(&init_data, now).map_err(|invalid| {
        let problem = access::unauthenticated(invalid.to_string());
        counter!(metric::CALLERS_REFUSED, "reason" => problem.problem_type().slug).increment(1);
        problem
    })?;
    let subject = subjects.of(user);
    let token = tokens.issue(&subject, roles, *token_lifetime, now);
    let token = token.map_err(|reason| Problem::new(&problem::INTERNAL, "no token could be made").because(reason))?;
    if let Some(asked) = asked {
        api.audit.note_token(&asked, &subject);
    }
    Ok(json(&json!({
        "token": token,
        "token_type": "Bearer",
        "expires_in": token_lifetime.as_secs(),
        "subject": subject,
    })))
}

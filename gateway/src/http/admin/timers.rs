//! `/admin/timers`: the timers that aggregates have set.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use dormouse_kernel::{AggregateId, AggregateRef, AggregateType, CatchUp, Schedule, TimerName, Timestamp};
use dormouse_messaging::store::{TimerPlace, TimerRow};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::answer;
use crate::admin::{Timer, TimerPage};
use crate::http::Api;
use crate::http::address::{Parameters, invalid, query_without};
use crate::http::problem::Problem;

/// `GET /admin/timers`: those that are due next first, page by page.
pub(super) async fn all(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    let uri = request.uri().clone();
    let parameters = Parameters::of(&uri, &["limit", "after"])?;
    let limit = api.page_limit(&parameters)?;
    let after = match parameters.get("after") {
        Some(text) => Some(parse_place(text).ok_or_else(|| invalid("after", "is not of the next of a page"))?),
        None => None,
    };
    // One timer more than the limit tells whether there is a next page.
    let mut timers = api.messaging.timers(after.as_ref(), limit + 1).await?;
    let has_more = timers.len() > limit;
    timers.truncate(limit);
    let next = timers.last().filter(|_| has_more).map(|last| {
        let place = place_text(&last.place);
        let place = utf8_percent_encode(&place, NON_ALPHANUMERIC);
        format!("{}?after={place}{}", uri.path(), query_without(&uri, "after"))
    });
    let set = api.messaging.timer_count().await?;
    Ok(answer(&TimerPage { timers: timers.iter().map(document_of).collect(), set, next }))
}

fn document_of(TimerRow { place, set_at, schedule, .. }: &TimerRow) -> Timer {
    let TimerPlace { due, aggregate, name } = place;
    Timer {
        due: *due,
        aggregate: aggregate.to_string(),
        name: name.to_string(),
        repeats: repeats(schedule),
        set_at: set_at.0,
    }
}

/// When a recurring timer is due: `every 90s`, `0 9 * * * (Europe/Berlin)`, and what becomes of missed times, unless they
/// are caught up once.
fn repeats(schedule: &Schedule) -> Option<String> {
    let times = match schedule {
        Schedule::Once { .. } => return None,
        Schedule::Every { interval_ms, .. } => {
            format!("every {:?}", Duration::from_millis(*interval_ms))
        }
        Schedule::Cron { cron, .. } => cron.to_string(),
    };
    Some(match schedule.catch_up() {
        CatchUp::One => times,
        CatchUp::All => format!("{times}, catches up all"),
        CatchUp::None => format!("{times}, catches up none"),
    })
}

/// The place of a timer as text. Its parts contain no slash, except for the name, which is the last.
fn place_text(TimerPlace { due, aggregate, name }: &TimerPlace) -> String {
    format!("{}/{}/{}/{name}", due.as_microsecond(), aggregate.aggregate_type, aggregate.id)
}

fn parse_place(text: &str) -> Option<TimerPlace> {
    let mut parts = text.splitn(4, '/');
    let due = Timestamp::from_microsecond(parts.next()?.parse().ok()?).ok()?;
    let aggregate_type = AggregateType::new(parts.next()?).ok()?;
    let aggregate = AggregateRef::new(aggregate_type, AggregateId::new(parts.next()?).ok()?);
    Some(TimerPlace { due, aggregate, name: TimerName::new(parts.next()?).ok()? })
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{Cron, Every, Timing};

    use super::*;

    #[test]
    fn a_place_is_read_back_from_its_text() {
        let aggregate = AggregateRef::new(AggregateType::new("order").unwrap(), AggregateId::new("o 1%").unwrap());
        let due = Timestamp::from_microsecond(-1_234_567).unwrap();
        let place = TimerPlace { due, aggregate, name: TimerName::new("a/b").unwrap() };
        assert_eq!(parse_place(&place_text(&place)), Some(place));
        for text in [
            "",
            "1",
            "1/order/o-1",
            "x/order/o-1/due",
            "1/Order/o-1/due",
            "1/order/o-1/",
            "99999999999999999999/order/o/due",
        ] {
            assert_eq!(parse_place(text), None, "{text}");
        }
    }

    #[test]
    fn a_recurring_timer_says_when_and_how_it_catches_up() {
        let text = |timing: Timing| repeats(&Schedule::new(timing, Timestamp::UNIX_EPOCH).unwrap());
        let every = Every::new(Duration::from_secs(90));
        assert_eq!(text(every.into()).as_deref(), Some("every 90s"));
        assert_eq!(text(every.catch_up(CatchUp::All).into()).as_deref(), Some("every 90s, catches up all"));
        let cron = Cron::new("0 9 * * *").unwrap().in_time_zone("Europe/Berlin").unwrap();
        assert_eq!(text(cron.into()).as_deref(), Some("0 9 * * * (Europe/Berlin)"));
        assert_eq!(text(dormouse_kernel::After(Duration::from_secs(1)).into()), None);
    }
}

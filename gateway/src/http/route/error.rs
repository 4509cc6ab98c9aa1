//! Why a route refuses a request.

use std::fmt;

use dormouse_engine::{CommandError, QueryError};
use dormouse_kernel::Rejection;

use crate::http::problem::{self, Problem};

/// Why a route refuses a request. The client gets a problem (RFC 9457), as for a command.
pub struct RouteError(Problem);

impl RouteError {
    /// The domain refuses the request, under this stable code: 422, as the rejection of a command.
    #[must_use]
    pub fn rejected(code: &'static str, detail: impl Into<String>) -> Self {
        Self(Problem::new(&problem::REJECTED, detail.into()).with("code", code))
    }

    /// The part of the address with this name is not valid: 400.
    #[must_use]
    pub fn invalid_path(name: &'static str, detail: impl fmt::Display) -> Self {
        Self(Problem::new(&problem::INVALID_PATH, format!("{name}: {detail}")).with("parameter", name))
    }

    /// The field of the body with this path is not valid: 400.
    #[must_use]
    pub fn invalid_field(field: &'static str, detail: impl fmt::Display) -> Self {
        Self(Problem::new(&problem::INVALID_BODY, format!("{field}: {detail}")).with("field", field))
    }

    /// The request is on behalf of nobody, and the route must know whom: 401.
    #[must_use]
    pub fn unauthenticated() -> Self {
        let detail = "the request does not say on whose behalf it is sent: send the header Dormouse-Subject from the \
                      server's own machine";
        Self(Problem::new(&problem::UNAUTHENTICATED, detail).with("header", "Dormouse-Subject"))
    }

    /// The application cannot answer, for a reason that only operators may see: 500.
    #[must_use]
    pub fn internal(reason: impl Into<String>) -> Self {
        Self(Problem::new(&problem::INTERNAL, "the route failed, the server's log says why").because(reason))
    }

    pub(super) fn invalid_id(detail: String) -> Self {
        Self(Problem::new(&problem::INVALID_AGGREGATE_ID, detail))
    }
}

impl<R: Rejection> From<CommandError<R>> for RouteError {
    fn from(error: CommandError<R>) -> Self {
        Self(error.into())
    }
}

impl From<QueryError> for RouteError {
    fn from(error: QueryError) -> Self {
        Self(error.into())
    }
}

impl From<RouteError> for Problem {
    fn from(RouteError(problem): RouteError) -> Self {
        problem
    }
}

impl fmt::Debug for RouteError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("RouteError").field(&self.0.problem_type().slug).finish()
    }
}

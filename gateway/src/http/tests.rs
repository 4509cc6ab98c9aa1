//! The HTTP API as clients see it: requests to the service, on a journal in memory.

mod admin_cache;
mod admin_config;
mod admin_failed;
mod admin_listeners;
mod admin_projections;
mod audit;
mod bulk;
mod catching_up;
mod commands;
mod failures;
mod following;
mod former_events;
mod headers;
mod letters;
mod operations;
mod queues_health;
mod read_models;
mod reading;
mod snapshots;
mod streams;
mod support;
mod upgrades;
mod views;
mod views_health;
mod views_lists;

//! `verge explain`.

use clap::Args;
use reqwest::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING};

use super::SiteArg;

/// `verge explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// A URL of a site, such as `https://www.example.com/docs`, or a path of the project's site, such as `/docs`
    pub url: String,
    /// The site.
    #[command(flatten)]
    pub site: SiteArg,
    /// A header of the request, such as `Accept: text/markdown` or `Sec-Fetch-Dest: document`, which a browser sends when a person goes
    /// to a page
    #[arg(long, short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    pub header: Vec<(HeaderName, HeaderValue)>,
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let expected = || format!("invalid header `{text}`: expected `Name: value`");
    let (name, value) = text.split_once(':').ok_or_else(expected)?;
    let name: HeaderName = name.trim().parse().map_err(|_| expected())?;
    if [HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) {
        return Err(format!("`{name}` cannot be set: the host is that of the URL, and the request has no body"));
    }
    let value = value.trim().parse().map_err(|_| expected())?;
    Ok((name, value))
}

-- The package `text`: what its parts offer, under one name.
return {
    slug = require "text.slug",
}

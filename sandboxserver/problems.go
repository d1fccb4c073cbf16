package sandboxserver

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"

	"github.com/langsandbox/sandbox-go/gen"
)

// problems turns what the validator found into the API's list, one item each,
// in words for people. Neither schemas nor values are repeated: values can be
// secrets.
func problems(err error, loc []any) []gen.FieldError {
	switch e := err.(type) { //nolint:errorlint // what the validator made, taken apart level by level
	case openapi3.MultiError:
		var out []gen.FieldError
		for _, each := range e {
			out = append(out, problems(each, loc)...)
		}
		return out
	case *openapi3filter.RequestError:
		return requestProblems(e)
	case *openapi3.SchemaError:
		loc := slices.Clip(loc)
		for _, segment := range e.JSONPointer() {
			loc = append(loc, index(segment))
		}
		return []gen.FieldError{fieldError(label(loc)+" "+complaint(e), loc)}
	}
	return []gen.FieldError{fieldError(label(loc)+" is not valid", loc)}
}

func requestProblems(e *openapi3filter.RequestError) []gen.FieldError {
	loc := []any{"body"}
	if e.Parameter != nil {
		loc = []any{e.Parameter.In, e.Parameter.Name}
	}
	if e.Err == nil || errors.Is(e.Err, openapi3filter.ErrInvalidRequired) {
		return []gen.FieldError{fieldError(label(loc)+" is required", loc)}
	}
	if _, ok := errors.AsType[*openapi3filter.ParseError](e.Err); ok && e.Parameter != nil {
		return []gen.FieldError{fieldError(label(loc)+" must be "+article(e.Parameter.Schema.Value), loc)}
	}
	return problems(e.Err, loc)
}

// index makes numbers of the places in arrays.
func index(segment string) any {
	if n, err := strconv.Atoi(segment); err == nil {
		return n
	}
	return segment
}

// label names a place; clients show messages without it.
func label(loc []any) string {
	if len(loc) < 2 {
		return "the body"
	}
	words := make([]string, 0, len(loc)-1)
	for _, segment := range loc[1:] {
		words = append(words, fmt.Sprint(segment))
	}
	return strings.Join(words, ".")
}

// complaint says what a value must be like.
func complaint(e *openapi3.SchemaError) string {
	schema := e.Schema
	switch e.SchemaField {
	case "required":
		return "is required"
	case "nullable":
		return "must not be null"
	case "type":
		return "must be " + article(schema)
	case "minimum":
		return "must be at least " + number(*schema.Min)
	case "maximum":
		return "must be at most " + number(*schema.Max)
	case "multipleOf":
		return "must be a multiple of " + number(*schema.MultipleOf)
	case "minLength", "minItems":
		return "must not be empty"
	case "maxLength":
		return "must have at most " + strconv.FormatUint(*schema.MaxLength, 10) + " characters"
	case "maxItems":
		return "must have at most " + strconv.FormatUint(*schema.MaxItems, 10) + " entries"
	case "pattern":
		return patternComplaint(schema.Pattern)
	case "enum":
		return "must be one of " + strings.Trim(fmt.Sprint(schema.Enum), "[]")
	}
	return "is not valid"
}

func patternComplaint(pattern string) string {
	switch pattern {
	case "^[^/]+$":
		return "must not contain a slash"
	case "^[a-z0-9-]+$":
		return "must consist of lower-case letters, digits and hyphens"
	case "^/":
		return "must start with a slash"
	}
	return "does not have the right form"
}

func number(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

func article(schema *openapi3.Schema) string {
	switch {
	case schema == nil || schema.Type == nil || len(*schema.Type) == 0:
		return "of another type"
	case schema.Type.Is("integer"), schema.Type.Is("array"), schema.Type.Is("object"):
		return "an " + (*schema.Type)[0]
	}
	return "a " + (*schema.Type)[0]
}

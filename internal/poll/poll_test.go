package poll

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUntil(t *testing.T) {
	tries := 0
	require.NoError(t, Until(t.Context(), time.Minute, "a second try", func(context.Context) error {
		if tries++; tries < 2 {
			return errors.New("not yet")
		}
		return nil
	}))
	assert.Equal(t, 2, tries)
}

func TestUntilSaysWhatItSawLast(t *testing.T) {
	voters := 0
	err := Until(t.Context(), 300*time.Millisecond, "3 voters", func(ctx context.Context) error {
		if voters++; voters > 1 {
			<-ctx.Done() // what a request says when its time is over
			return ctx.Err()
		}
		return errors.New("want 3, got 1")
	})
	assert.EqualError(t, err, "waited 0s for 3 voters: want 3, got 1")
}

func TestUntilTellsAnInterruptionFromTheEndOfTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := Until(ctx, time.Minute, "a leader", func(context.Context) error { return errors.New("none") })
	assert.EqualError(t, err, "interrupted after waiting 0s for a leader: none")
}

func TestUntilEndsAtAFinalError(t *testing.T) {
	cause := errors.New("it has ended")
	tries := 0
	err := Until(t.Context(), time.Minute, "an answer", func(context.Context) error {
		tries++
		return Final(cause)
	})
	require.EqualError(t, err, "waiting for an answer: it has ended")
	require.ErrorIs(t, err, cause)
	assert.Equal(t, 1, tries)
}

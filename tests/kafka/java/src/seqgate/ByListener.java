package seqgate;

import org.apache.kafka.common.security.auth.AuthenticationContext;
import org.apache.kafka.common.security.auth.KafkaPrincipal;
import org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder;

/** Takes a broker's clients for users with the name of the listener that they have come to. */
public final class ByListener extends DefaultKafkaPrincipalBuilder {
    /** Nobody is authenticated, so there are no names to be mapped. */
    public ByListener() {
        super(null, null);
    }

    @Override
    public KafkaPrincipal build(AuthenticationContext context) {
        return new KafkaPrincipal(KafkaPrincipal.USER_TYPE, context.listenerName());
    }
}

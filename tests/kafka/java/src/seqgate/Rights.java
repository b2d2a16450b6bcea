package seqgate;

import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** Says who may do what with topics. */
final class Rights {
    /** The principal may do this with every topic. */
    static void allow(String bootstrap, String principal, AclOperation operation) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        ResourcePattern topics =
                new ResourcePattern(ResourceType.TOPIC, ResourcePattern.WILDCARD_RESOURCE, PatternType.LITERAL);
        AccessControlEntry entry = new AccessControlEntry(principal, "*", operation, AclPermissionType.ALLOW);
        try (Admin admin = Admin.create(settings)) {
            admin.createAcls(List.of(new AclBinding(topics, entry))).all().get();
        }
    }
}
